"""Which path is which route; the names are also the metrics' labels."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from scorehost.errors import NoSuchRoute
from scorehost.front.http.exchange import Exchange

ROOT: Final = "root"
SCORE: Final = "score"
LIVE: Final = "livez"
READY: Final = "readyz"
STARTUP: Final = "startupz"
METRICS: Final = "metrics"
SWAGGER: Final = "swagger"
PAGES: Final = "pages"
OTHER: Final = "other"
DEBUG: Final = "debug"
"""What the debug page asks for once a second; only debug mode has it."""

_EXACT: Final = {
    b"/": ROOT,
    b"/score": SCORE,
    b"/livez": LIVE,
    b"/readyz": READY,
    b"/startupz": STARTUP,
    b"/metrics": METRICS,
    b"/swagger.json": SWAGGER,
    b"/docs": PAGES,
}
_PREFIXES: Final = {b"/docs/": PAGES}
PROBES: Final = frozenset({ROOT, LIVE, READY, STARTUP, METRICS, DEBUG})
"""Routes that the health port answers too, and that are not logged unless asked."""
READ_ONLY: Final = frozenset({ROOT, LIVE, READY, STARTUP, METRICS, SWAGGER})


class Routes:
    """Names the route of each exchange."""

    def assign(self, exchange: Exchange) -> None:
        """Set the exchange's route."""
        path = exchange.path
        route = _EXACT.get(path)
        if route is None:
            route = self._look_closer(exchange)
        exchange.route = route

    def _look_closer(self, exchange: Exchange) -> str:
        path = exchange.path
        if not path.startswith(b"/"):
            # Absolute form, as for a proxy, must be understood too: RFC 9112, 3.2.2.
            _, _, rest = path.partition(b"://")
            path = exchange.path = b"/" + rest.partition(b"/")[2] if rest else path
        plain = unquote_to_bytes(path) if b"%" in path else path
        if plain.startswith(b"//"):  # clients join "http://host/" and "/score"
            plain = b"/" + plain.lstrip(b"/")
        if plain in _EXACT:
            exchange.path = plain
            return _EXACT[plain]
        for prefix, route in _PREFIXES.items():
            if path.startswith(prefix):
                return route
        return OTHER


def no_such_route(exchange: Exchange) -> NoSuchRoute:
    """The error for a path that nothing is served under."""
    path = exchange.path[:200].decode("latin-1")
    return NoSuchRoute(
        f"Nothing is served under {path}. Scoring is POST /score; see also /, /livez, /readyz, "
        "/startupz, /swagger.json, /docs and /metrics."
    )
