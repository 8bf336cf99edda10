"""Which path leads to which handler: a table of rows.

A row with a pattern, such as ``/docs/*``, takes every path that begins as it does. A new page or
protocol is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from scorehost.errors import NoSuchRoute

Handler = Callable[[Any], None]
"""Takes the exchange, which it answers now or later."""
READ: Final = frozenset({b"GET", b"HEAD"})
SCORE_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})
LONGEST_DECODED: Final = 1000
"""Bytes of a path or a query that the front decodes. Those that lead somewhere are shorter, and
64 KiB can take thirty milliseconds."""


class Route(NamedTuple):
    """One row of the route table.

    Parameters
    ----------
    path : the path, or a pattern that ends in ``*``.
    methods : HTTP methods that are handed to ``handler``. OPTIONS is answered with their names,
        any other method is refused. If this is empty, the handler takes all methods.
    handler : is given the exchange.
    label : the route's name in metrics; several rows may share one.
    protocol : how a request is put to the scoring workers: "score.py" is ``run(data)``; "" where
        no worker is asked.
    on_health_port : whether the health port answers it too.
    is_quiet : whether the access log leaves it out, unless told otherwise.
    """

    path: str
    methods: frozenset[bytes]
    handler: Handler
    label: str
    protocol: str = ""
    on_health_port: bool = False
    is_quiet: bool = False

    def method_names(self) -> tuple[str, ...]:
        """Return the methods that clients may use, for ``Allow``."""
        return tuple(sorted({*(each.decode() for each in self.methods), "OPTIONS"}))


NOWHERE: Final = Route("", frozenset(), lambda _exchange: None, "other")
"""The route of a request that was refused before its path was known; it has an error already."""


class Routes:
    """The route table.

    Parameters
    ----------
    rows : the routes; of two with the same path the later one holds.
    otherwise : the row for any other path.
    """

    def __init__(self, rows: Iterable[Route], otherwise: Route) -> None:
        self._exact: dict[bytes, Route] = {}
        self._patterns: dict[bytes, Route] = {}
        self._otherwise = otherwise
        for row in rows:
            self.add(row)

    def add(self, row: Route) -> None:
        """Add a row, in the place of one with the same path."""
        path = row.path.encode()
        if path.endswith(b"*"):
            self._patterns[path[:-1]] = row
        else:
            self._exact[path] = row

    def find(self, path: bytes) -> tuple[Route, bytes]:
        """Return the row for a request's path, and the path as it was understood."""
        row = self._exact.get(path)
        return (row, path) if row is not None else self._look_closer(path)

    def _look_closer(self, path: bytes) -> tuple[Route, bytes]:
        if not path.startswith(b"/"):
            # Absolute form, as for a proxy, must be understood too: RFC 9112, 3.2.2.
            _, _, rest = path.partition(b"://")
            path = b"/" + rest.partition(b"/")[2] if rest else path
        is_encoded = b"%" in path and len(path) <= LONGEST_DECODED
        plain = unquote_to_bytes(path) if is_encoded else path
        if plain.startswith(b"//"):  # clients join "http://host/" and "/score"
            plain = b"/" + plain.lstrip(b"/")
        if plain in self._exact:
            return self._exact[plain], plain
        for beginning, row in self._patterns.items():
            if path.startswith(beginning):
                return row, path
        return self._otherwise, path


def no_such_route(path: bytes, *, health_only: bool = False) -> NoSuchRoute:
    """Return the error for a path that leads nowhere on its port."""
    there_is = (
        "This port answers only probes: /, /livez, /readyz, /startupz and /metrics."
        if health_only
        else "Scoring is POST /score; see also /, /livez, /readyz, /startupz, /swagger.json, "
        "/docs and /metrics."
    )
    return NoSuchRoute(f"There is nothing at {path[:200].decode('latin-1')}. {there_is}")
