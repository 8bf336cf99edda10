"""Every route but ``/score``: what the front answers by itself, whatever the workers do."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson

from scorehost.errors import MethodNotAllowed, NotReady, RequestError
from scorehost.front.http import routes
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.http.responses import JSON, TEXT
from scorehost.front.observe.metrics import load_prometheus_client

if TYPE_CHECKING:
    from scorehost.front.front import Front

SWAGGER_VERSIONS: Final = ("2", "3", "3.1")
READ_METHODS: Final = ("GET", "HEAD", "OPTIONS")


class Endpoints:
    """Probes, metrics, swagger, pages, and what is not there.

    Parameters
    ----------
    front : whose state is told, and which sends the answers.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._can_show_metrics = False

    def json(self, exchange: Exchange, status: int, document: Any, retry: float = 0.0) -> None:
        """Answer with a document; ``retry`` is for Retry-After (seconds), none when 0."""
        headers = [("Retry-After", f"{retry:.0f}")] if retry else []
        body = orjson.dumps(document, default=str)
        front = self._front
        front.reply(exchange, front.answers.complete(exchange, status, body, JSON, headers))

    def options(self, exchange: Exchange, methods: tuple[str, ...]) -> None:
        """Name the methods that a route takes."""
        front, headers = self._front, [("Allow", ", ".join(methods))]
        front.reply(exchange, front.answers.complete(exchange, 200, b"", TEXT, headers))

    def not_allowed(self, exchange: Exchange, methods: tuple[str, ...]) -> None:
        """Refuse a method."""
        method, path = exchange.method.decode("latin-1"), exchange.path.decode("latin-1")
        text = f"{path} does not take {method}. It takes {', '.join(methods)}."
        self._front.fail(exchange, MethodNotAllowed(text, methods))

    def read_only(self, exchange: Exchange) -> None:
        """Answer anything but GET and HEAD on a route that only tells."""
        answer = self.options if exchange.method == b"OPTIONS" else self.not_allowed
        answer(exchange, READ_METHODS)

    def nothing(self, exchange: Exchange) -> None:
        """No such route."""
        self._front.fail(exchange, routes.no_such_route(exchange))

    # -- probes -------------------------------------------------------------------------------

    def root(self, exchange: Exchange) -> None:
        """Older clients wait here until the answer is 200."""
        front = self._front
        if front.pool.ever_ready:
            front.reply(exchange, front.answers.complete(exchange, 200, b"Healthy", TEXT))
        else:
            self._state(exchange, 503)

    def live(self, exchange: Exchange) -> None:
        """The server answers; nothing else is meant."""
        self.json(exchange, 200, {"state": "live"})

    def ready(self, exchange: Exchange) -> None:
        """A worker can score."""
        front = self._front
        scores = front.dispatcher.serving and not front.status.draining
        self._state(exchange, 200 if scores else 503)

    def startup(self, exchange: Exchange) -> None:
        """``init()`` is done, or what it is doing."""
        self._state(exchange, 200 if self._front.pool.ever_ready else 503)

    def _state(self, exchange: Exchange, status: int) -> None:
        state = self._front.status
        retry = state.retry_after() if status == 503 else 0.0
        self.json(exchange, status, state.document(), retry)

    # -- what the server knows ----------------------------------------------------------------

    def metrics(self, exchange: Exchange) -> None:
        """Everything that is counted; the first time the library for it is loaded, aside."""
        show = partial(self._show_metrics, exchange)
        if self._can_show_metrics:
            show()
        else:
            self._front.background.do(load_prometheus_client, then=show)

    def _show_metrics(self, exchange: Exchange, loaded: Future[None] | None = None) -> None:
        if exchange.state == DONE:
            return
        front = self._front
        error = loaded.exception() if loaded is not None else None
        if error is not None:
            front.log.error(
                f"/metrics can't be shown, as prometheus-client does not load: {error!r}. "
                "Install it again: pip install --force-reinstall prometheus-client"
            )
            front.fail(exchange, RequestError("The metrics can't be shown. See the log."))
            return
        self._can_show_metrics = True
        front.observe()
        body, content_type = front.metrics.text()
        front.reply(exchange, front.answers.complete(exchange, 200, body, content_type))

    def swagger(self, exchange: Exchange) -> None:
        """The interface's description in the version that is asked for."""
        documents = self._front.pool.description.get("documents")
        if documents is None:
            self._front.fail(exchange, NotReady(self._front.status.not_ready()))
            return
        version = _query(exchange).get("version", SWAGGER_VERSIONS[0]).removesuffix(".0")
        if version in documents:
            self.json(exchange, 200, documents[version])
        else:
            supported = ", ".join(SWAGGER_VERSIONS)
            text = f"There is no swagger version {version!r}. Supported: {supported}."
            self.json(exchange, 404, {"message": text})


def _query(exchange: Exchange) -> dict[str, str]:
    query = exchange.target.partition(b"?")[2].decode("latin-1")
    return dict(parse_qsl(query, keep_blank_values=True))
