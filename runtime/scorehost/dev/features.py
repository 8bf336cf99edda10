"""What a server does besides during development: debugging, live reload, recording."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scorehost.dev.debug_port import DebugPort
from scorehost.dev.error_pages import DebugErrors
from scorehost.dev.live_reload import LiveReload
from scorehost.dev.places import in_container
from scorehost.dev.request_history import RequestHistory
from scorehost.errors import UsageError
from scorehost.front.features import Features, Parts
from scorehost.front.http.error_responses import ErrorResponses
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.routes import READ, Handler, Route
from scorehost.front.observe.log import Log
from scorehost.front.observe.observer import Observer
from scorehost.profile import Profile
from scorehost.settings import Settings

if TYPE_CHECKING:
    from flask import Flask


class DevelopmentFeatures(Features):
    """Those of these features that the settings ask for.

    Parameters
    ----------
    settings, profile : of the server.
    environ : tells whether it runs in a container.
    log : where events go.
    """

    _parts: Parts
    _port: DebugPort

    def __init__(
        self, settings: Settings, profile: Profile, environ: Mapping[str, str], log: Log
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._environ = environ
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._history = RequestHistory(settings, log)
        self._reload = LiveReload(settings, profile, log, self._spawn)
        self._errors = DebugErrors(settings.script.name, self._history)

    # -- hooks --------------------------------------------------------------------------------

    def observers(self) -> Sequence[Observer]:
        return self._history, self._reload

    def error_responses(self) -> ErrorResponses:
        return self._errors if self._settings.debug else super().error_responses()

    def connect(self, parts: Parts) -> Sequence[Route]:
        self._parts = parts
        self._reload.connect(parts)
        self._errors.last_death = lambda: parts.pool.last_death
        self._port = DebugPort(self._settings, self._environ, self._log, parts, self._spawn)
        return self._routes() if self._settings.debug else ()

    def add_pages(self, app: Flask) -> None:
        if not self._settings.debug:
            return
        from scorehost.dev.page import DebugPage  # not before it is asked for

        DebugPage(
            self._settings,
            self._parts,
            self._history,
            self._reload,
            sources=self._sources,
            in_container=in_container(self._environ),
        ).add(app)

    def doing(self) -> str:
        return "paused in the debugger" if self._port.relay.paused else ""

    def add_to_state(self, document: dict[str, Any]) -> None:
        self._port.add_to_state(document)
        shows_reports = self._settings.debug or self._settings.reload
        if shows_reports and "last_failure" in document:
            document["last_failure"]["report"] = self._reload.report()

    def start(self) -> None:
        settings = self._settings
        if settings.debug:
            self._log.warning(
                "DEBUG MODE: error responses contain every detail, the debugger runs any code that "
                "a client sends, and /debug shows requests. Never expose this server to others."
            )
        if settings.debug or settings.debug_on_demand:
            self._port.start()
        self._reload.start()

    def close(self) -> None:
        self._reload.close()
        self._port.close()
        for task in self._tasks:
            task.cancel()
        self._history.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sources(self) -> Mapping[str, object]:
        """Where each setting came from; empty while the config file that was named is broken."""
        with contextlib.suppress(UsageError):
            if self._profile.resolve is not None:
                return self._profile.resolve().sources
        return {}

    # -- routes -------------------------------------------------------------------------------

    def _routes(self) -> list[Route]:
        any_method: frozenset[bytes] = frozenset()  # Flask refuses those that a page does not take
        page = self._from_here(self._parts.pages.serve)
        reload = self._from_here(self._reload.reload_by_hand)
        return [
            Route("/livez", READ, self._live, "livez", on_health_port=True, is_quiet=True),
            Route("/debug", any_method, page, "pages"),
            Route("/debug/*", any_method, page, "pages"),
            Route("/debug/state", any_method, page, "debug", is_quiet=True),
            Route("/-/reload", frozenset({b"POST"}), reload, "other"),
        ]

    def _live(self, exchange: Exchange) -> None:
        document = {"state": "live"}
        doing = self.doing()
        self._parts.endpoints.json(exchange, 200, document | ({"doing": doing} if doing else {}))

    def _from_here(self, handler: Handler) -> Handler:
        """Refuse what another site's page sends through somebody's browser."""

        def handle(exchange: Exchange) -> None:
            origin = exchange.known.get(b"origin", b"")
            if origin and origin.partition(b"://")[2] != exchange.known.get(b"host", b""):
                text = "Pages of other sites may not send this request."
                self._parts.endpoints.json(exchange, 403, {"message": text})
            else:
                handler(exchange)

        return handle
