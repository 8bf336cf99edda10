"""What a server does besides during development: debugging, live reload, recording."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scorehost.dev.debug_port import DebugPort
from scorehost.dev.error_pages import DebugErrors
from scorehost.dev.live_reload import LiveReload
from scorehost.dev.request_history import RequestHistory
from scorehost.dev.trusted_hosts import TrustedHosts, authority_of
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
    log : where events go.
    """

    _parts: Parts
    _port: DebugPort

    def __init__(self, settings: Settings, profile: Profile, log: Log) -> None:
        self._settings = settings
        self._profile = profile
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._history = RequestHistory(settings, log)
        self._reload = LiveReload(settings, profile, log, self._spawn)
        self._hosts = TrustedHosts(settings.debug_hosts)
        self._errors = DebugErrors(settings.script.name, self._history, self._hosts)

    # -- hooks --------------------------------------------------------------------------------

    def observers(self) -> Sequence[Observer]:
        return self._history, self._reload

    def error_responses(self) -> ErrorResponses:
        return self._errors if self._settings.debug else super().error_responses()

    def connect(self, parts: Parts) -> Sequence[Route]:
        self._parts = parts
        self._reload.connect(parts)
        self._errors.last_death = lambda: parts.pool.last_death
        self._errors.add_details = self._add_details
        self._port = DebugPort(self._settings, self._log, parts, self._spawn)
        return list(self._routes())

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
        ).add(app)

    def doing(self) -> str:
        return "paused in the debugger" if self._port.relay.paused else ""

    def add_to_state(self, document: dict[str, Any]) -> None:
        self._port.add_to_state(document)

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

    def _routes(self) -> Iterator[Route]:
        settings, status = self._settings, self._parts.status
        if not settings.debug:
            return
        yield _probe("/", self._root, "root")
        yield _probe("/readyz", self._with_details(lambda: status.is_ready), "readyz")
        yield _probe("/startupz", self._with_details(lambda: status.was_ever_ready), "startupz")
        any_method: frozenset[bytes] = frozenset()  # Flask refuses those that a page does not take
        page = self._from_here(self._parts.pages.serve)
        reload = self._from_here(self._reload.reload_by_hand)
        yield _probe("/livez", self._live, "livez")
        yield Route("/debug", any_method, page, "pages")
        yield Route("/debug/*", any_method, page, "pages")
        yield Route("/debug/state", any_method, page, "debug", is_quiet=True)
        yield Route("/-/reload", frozenset({b"POST"}), reload, "other")

    def _live(self, exchange: Exchange) -> None:
        document = {"state": "live"}
        doing = self.doing()
        self._parts.endpoints.json(exchange, 200, document | ({"doing": doing} if doing else {}))

    def _root(self, exchange: Exchange) -> None:
        status = self._parts.status
        if status.was_ever_ready:
            self._parts.endpoints.root(exchange)
        else:
            self._with_details(lambda: False)(exchange)

    def _add_details(self, exchange: Exchange, document: dict[str, Any]) -> None:
        """Add to the state what has failed, and why the last process ended, in full."""
        pool, problem = self._parts.pool, self._hosts.problem(exchange)
        told, failure = document.get("last_failure"), pool.lifecycle.last_failure
        if told and problem:
            document["last_failure"] = told | {"report": problem}
        elif told and failure and failure.get("reference") == told["reference"]:
            document["last_failure"] = told | self._reload.details(failure)
        if "last_worker_end" in document and not problem:
            document["last_worker_end"] = pool.last_death

    def _with_details(self, passes: Callable[[], bool]) -> Handler:
        """A probe that tells everything, but only to trusted clients."""

        def handle(exchange: Exchange) -> None:
            status, answer = self._parts.status, self._parts.endpoints.json
            document = status.document()
            self._add_details(exchange, document)
            if passes():
                answer(exchange, 200, document)
            else:
                answer(exchange, 503, document, status.retry_after())

        return handle

    def _from_here(self, handler: Handler) -> Handler:
        """Refuse what another site's page sends through somebody's browser.

        421 is for a request whose host is not one that the server answers for (RFC 9110, 7.4 and
        15.5.20); for the right host, but from another site, it is forbidden.
        """

        def handle(exchange: Exchange) -> None:
            answer = self._parts.endpoints.json
            origin = exchange.known.get(b"origin", b"").decode("latin-1").lower()
            own = authority_of(exchange)
            if problem := self._hosts.problem(exchange):
                answer(exchange, 421, {"message": problem})
            elif origin and origin not in (f"http://{own}", f"https://{own}"):
                text = "Pages of other sites may not send this request."
                answer(exchange, 403, {"message": text})
            else:
                handler(exchange)

        return handle


def _probe(path: str, handler: Handler, label: str) -> Route:
    return Route(path, READ, handler, label, on_health_port=True, is_quiet=True)
