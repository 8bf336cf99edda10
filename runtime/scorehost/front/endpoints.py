"""Every route but ``/score``: what the front answers without a worker."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from scorehost.errors import RequestError
from scorehost.front.background import Background
from scorehost.front.clock import Clock
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.http.responses import JSON, TEXT, Response
from scorehost.front.http.routes import LONGEST_DECODED, READ, Handler, Route
from scorehost.front.observe.log import Log
from scorehost.front.observe.metrics import Metrics, exposition, load_prometheus_client
from scorehost.front.replies import Replies
from scorehost.front.status import Numbers, Status

_METRICS_PAUSE: Final = 4
"""The metrics are shown again after four times as long as showing them took, which is a millisecond
or two. So they take at most a fifth of the front's time, however many clients ask."""


class Endpoints:
    """Probes, metrics and swagger documents; ``numbers`` are metrics read on request."""

    def __init__(
        self,
        replies: Replies,
        status: Status,
        metrics: Metrics,
        numbers: Numbers,
        background: Background,
        log: Log,
        clock: Clock,
    ) -> None:
        self._replies = replies
        self._status = status
        self._metrics = metrics
        self._numbers = numbers
        self._background = background
        self._log = log
        self._clock = clock
        self._can_show_metrics = False
        self._shows_metrics_again = False
        self._asked_for_metrics: list[Exchange] = []

    def routes(self) -> list[Route]:
        """Return the rows of the route table."""
        return [
            _probe("/", self.root, "root"),
            _probe("/livez", self.live, "livez"),
            _probe("/readyz", self.ready, "readyz"),
            _probe("/startupz", self.startup, "startupz"),
            _probe("/metrics", self.metrics, "metrics"),
            Route("/swagger.json", READ, self.swagger, "swagger"),
        ]

    def json(
        self, exchange: Exchange, status: int, document: Any, retry_after: float | None = None
    ) -> None:
        """Answer with a document; ``retry_after`` is in seconds, None for no such header."""
        headers = [] if retry_after is None else [("Retry-After", f"{retry_after:.0f}")]
        body = orjson.dumps(document, default=str)
        self._replies.reply(exchange, Response(status, body, JSON, headers))

    # -- probes -------------------------------------------------------------------------------

    def root(self, exchange: Exchange) -> None:
        """Answer 200 once the script is ready: older clients poll this route."""
        if self._status.was_ever_ready:
            self._replies.reply(exchange, Response(200, b"Healthy", TEXT))
        else:
            self._state(exchange, 503)

    def live(self, exchange: Exchange) -> None:
        """Say that the server answers, which implies nothing about the script."""
        self.json(exchange, 200, {"state": "live"})

    def ready(self, exchange: Exchange) -> None:
        self._state(exchange, 200 if self._status.is_ready else 503)

    def startup(self, exchange: Exchange) -> None:
        """Say whether ``init()`` is done, and if not, what it is doing."""
        self._state(exchange, 200 if self._status.was_ever_ready else 503)

    def _state(self, exchange: Exchange, status: int) -> None:
        retry_after = self._status.retry_after() if status == 503 else None
        self.json(exchange, status, self._status.document(), retry_after)

    # -- what the server knows ----------------------------------------------------------------

    def metrics(self, exchange: Exchange) -> None:
        """Show the metrics, once for all who ask in a short while.

        The library for them is loaded in the background at first use.
        """
        self._asked_for_metrics.append(exchange)
        if not self._can_show_metrics:
            if len(self._asked_for_metrics) == 1:
                self._background.do(load_prometheus_client, then=self._show_first_metrics)
        elif not self._shows_metrics_again:
            self._show_metrics()

    def _show_first_metrics(self, loaded: Future[None]) -> None:
        error = loaded.exception()
        if error is not None:
            self._log.error(
                f"/metrics is unavailable because prometheus-client failed to load: {error!r}. "
                "Reinstall it: pip install --force-reinstall prometheus-client"
            )
            self._refuse_metrics(self._take_who_asked())
            return
        self._can_show_metrics = True
        self._show_metrics()

    def _show_metrics(self) -> None:
        self._shows_metrics_again = False
        asked = self._take_who_asked()
        if not asked:
            return
        began = self._clock.now()
        self._replies.observe()
        read = self._numbers
        try:
            text, kind = exposition(self._metrics, read.gauges(), read.build(), read.models())
        except Exception as error:
            self._log.error(f"/metrics cannot be shown: {error!r}")
            self._refuse_metrics(asked)
            return
        for exchange in asked:
            self._replies.reply(exchange, Response(200, text, kind))
        self._shows_metrics_again = True
        pause = _METRICS_PAUSE * (self._clock.now() - began)
        self._clock.later(pause, self._show_metrics)

    def _refuse_metrics(self, asked: list[Exchange]) -> None:
        problem = RequestError("The metrics are unavailable. See the log.")
        for exchange in asked:
            self._replies.fail(exchange, problem)

    def _take_who_asked(self) -> list[Exchange]:
        """Return the requests for metrics that still wait for an answer."""
        asked, self._asked_for_metrics = self._asked_for_metrics, []
        return [each for each in asked if each.state != DONE]

    def swagger(self, exchange: Exchange) -> None:
        """Answer with the service's description, in the version that is asked for."""
        documents = self._status.documents()
        if documents is None:
            self._replies.fail(exchange, self._status.refusal())
            return
        query = exchange.target.partition(b"?")[2].decode("latin-1")
        if len(query) > LONGEST_DECODED:
            text = f"The query has {len(query)} bytes; at most {LONGEST_DECODED} are accepted here."
            self.json(exchange, 414, {"message": text})
            return
        given = dict(parse_qsl(query, keep_blank_values=True))
        version = given.get("version", next(iter(documents))).removesuffix(".0")
        if version in documents:
            self.json(exchange, 200, documents[version])
        else:
            supported = ", ".join(documents)
            text = f"Swagger version {version!r} does not exist. Supported: {supported}."
            self.json(exchange, 404, {"message": text})


def _probe(path: str, handler: Handler, label: str) -> Route:
    return Route(path, READ, handler, label, on_health_port=True, is_quiet=True)
