"""The front of a server that is being worked on.

Everything a :class:`Front` does, and what debug mode, live reload, recording and a debugger on
demand add to it. ``front/server.py`` chooses between the two when the server starts, so that
production neither imports this nor asks itself at any request whether it should do more.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from scorehost.config_file import LARGEST, read_entries
from scorehost.dev.answers import as_page, error_document, wants_every_frame, wants_html
from scorehost.dev.control import Answer, Control
from scorehost.dev.places import debugger_host, in_container
from scorehost.dev.relay import Relay
from scorehost.dev.replaying import replay
from scorehost.dev.request_history import RequestHistory
from scorehost.dev.status import DevelopmentStatus
from scorehost.dev.watching import Watched, Watcher, needs_polling
from scorehost.errors import (
    DeadlineExceeded,
    MethodNotAllowed,
    MissingExtra,
    RequestError,
    UsageError,
    WorkerLost,
)
from scorehost.front.front import Front
from scorehost.front.http import routes
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.http.responses import JSON
from scorehost.front.workers.handle import SERVING, STARTING, WorkerHandle
from scorehost.settings import Settings, declarations
from scorehost.wire.signals import DEBUG_SIGNAL

if TYPE_CHECKING:
    from scorehost.dev.page import DebugPage

HTML: Final = "text/html; charset=utf-8"
_LISTENS_WITHIN: Final = 15.0
_FOR_WORKERS: Final = frozenset(
    {
        "log_level", "model_dir", "nan", "service_name", "service_path_prefix", "service_version",
        "workspace_name", "app_insights_enabled", "app_insights_key", "app_insights_log_response",
    }
)  # fmt: skip
"""Settings that new workers take from a config file that has changed."""


class DevelopmentFront(Front):
    """A front with what production does without. See :class:`Front` for the parameters."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        settings, self._profile, self.environ = arguments[:3]
        host = debugger_host(self.environ)
        self.relay = Relay(
            host,
            settings.debug_port,
            self._debug_target,
            self._debugger_changed,
            lambda: settings.debug and not self.pool.stopping,
            self.log.warning,
        )
        self.status: DevelopmentStatus = DevelopmentStatus(self.pool, self.dispatcher)
        self.status.relay = self.relay
        self.status.shows_reports = settings.debug or settings.reload
        self.history = RequestHistory(settings, self.log)
        self.watcher: Watcher | None = None
        self.reload_note = ""
        self._control: Control | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._awaiting_reload: list[Exchange] = []
        self._was_attached = False
        self._config_file: Path | None = None
        self._config_places: frozenset[Path] = frozenset()
        self._config_warnings: frozenset[str] = frozenset()
        if settings.debug:
            self.more_pages = self._debug_page().add
            self._handlers[routes.LIVE] = self._live_and_debugged
            self._handlers[routes.OTHER] = self._other

    def _debug_page(self) -> DebugPage:
        from scorehost.dev.page import DebugContext, DebugPage  # only debug mode shows it

        return DebugPage(
            DebugContext(
                settings=self.settings,
                pool=self.pool,
                status=self.status,
                history=self.history,
                reload=lambda: self.from_thread(partial(self.pool.reload, anew=True)),
                replay=lambda document: self.from_thread(replay, self, document),
                sources=self.sources,
                reload_note=lambda: self.reload_note,
                in_container=in_container(self.environ),
            )
        )

    # -- beginning and ending -----------------------------------------------------------------

    def start(self) -> None:
        """As in production, then what was asked for besides."""
        settings = self.settings
        if settings.debug:
            self.log.warning(
                "DEBUG MODE: errors tell everything, the debugger runs any code that a client "
                "sends, /debug shows requests. Never expose this server."
            )
        super().start()
        if settings.debug:
            self._spawn(self._open_debugger())
        if settings.debug or settings.debug_on_demand:
            self._spawn(self._open_control())
        if settings.reload:
            self._watch()

    def close(self) -> None:
        """Let go of what outlives the loop."""
        super().close()
        if self.watcher is not None:
            self.watcher.stop()
        if self._control is not None:
            self._control.close()
        for task in self._tasks:
            task.cancel()
        self.history.close()

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the debugger -------------------------------------------------------------------------

    async def _open_debugger(self) -> None:
        if importlib.util.find_spec("debugpy") is None:
            self.log.error(str(MissingExtra("The debugger", "debugpy", "debug")))
            return
        try:
            await self.relay.open()
        except OSError as error:
            self.log.error(
                f"the debugger cannot listen on {self.relay.host}:{self.relay.port} "
                f"({error.strerror or error}); choose another port with --debug-port"
            )
            return
        self.log.warning(
            f"the debugger listens on {self.relay.host}:{self.relay.port}; "
            "'scorehost launch-json' prints what an editor needs to attach"
        )

    def _debug_target(self) -> int:
        """Where the worker listens that a client should get: one that serves, else the newest."""
        offered = [
            worker
            for worker in self.pool.workers
            if worker.state in (STARTING, SERVING) and worker.shared.debugger_port
        ]
        serving = [worker for worker in offered if worker.state == SERVING]
        best = (serving or offered)[-1:]
        return best[0].shared.debugger_port if best else 0

    def _debugger_changed(self) -> None:
        attached = self.relay.attached
        self.dispatcher.deadlines_suspended = attached
        if attached != self._was_attached:
            self._was_attached = attached
            self.log.warning(
                "a debugger is attached: deadlines and queue limits are suspended"
                if attached
                else "the debugger has left: deadlines and queue limits hold again"
            )

    def _live_and_debugged(self, exchange: Exchange) -> None:
        document = {"state": "live"}
        if self.relay.paused:
            document["doing"] = "paused in the debugger"
        self.endpoints.json(exchange, 200, document)

    # -- on demand ----------------------------------------------------------------------------

    async def _open_control(self) -> None:
        commands = {"open": self._demand, "close": self._dismiss, "status": self._tell}
        control = Control(self.settings.port, commands)
        try:
            await control.open()
        except OSError as error:
            self.log.warning(f"'scorehost debug' cannot reach this server: {error}")
            return
        self._control = control

    async def _demand(self) -> Answer:
        """Make a worker listen, and open the port."""
        if importlib.util.find_spec("debugpy") is None:
            return {"error": str(MissingExtra("The debugger", "debugpy", "debug"))}
        serving = self.dispatcher.serving
        if not serving:
            return {"error": self.status.not_ready()}
        if not self._debug_target():
            await self._make_listen(serving[0])
        if not self._debug_target():
            return {"error": "The worker did not open its debugger; is it in native code?"}
        try:
            await self.relay.open()
        except OSError as error:
            return {"error": f"Port {self.relay.port} cannot be opened: {error.strerror or error}"}
        self.log.warning(f"the debugger was opened on {self.relay.host}:{self.relay.port}")
        return await self._tell()

    async def _make_listen(self, worker: WorkerHandle) -> None:
        worker.signal(DEBUG_SIGNAL)
        until = self.now() + _LISTENS_WITHIN
        while self.now() < until and worker in self.pool.workers:
            if worker.shared.debugger_port:
                return
            await asyncio.sleep(0.05)

    async def _dismiss(self) -> Answer:
        """Close the port and let clients go."""
        await self.relay.close()
        self.log.warning("the debugger was closed")
        return await self._tell()

    async def _tell(self) -> Answer:
        relay = self.relay
        return {
            "host": relay.host,
            "port": relay.port,
            "listening": relay.listening,
            "attached": relay.attached,
            "paused": relay.paused,
        }

    # -- reload -------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._profile.resolve is not None:
            resolved = self._profile.resolve()
            self._config_file = resolved.config_file
            self._config_warnings = frozenset(resolved.warnings)
        watched = Watched(self.settings)
        self._config_places = frozenset(watched.config_files)
        folders = watched.folders()
        polling = self.settings.reload_polling or needs_polling(folders)
        self.watcher = Watcher(
            watched,
            lambda paths: self.from_thread(self._files_changed, paths),
            polling=polling,
            notice=lambda text: self.from_thread(self.log.warning, text),
        )
        self.watcher.start()
        missing = importlib.util.find_spec("watchfiles") is None
        how = "looking at" if polling or missing else "waiting for events in"
        self.reload_note = f"{how} {', '.join(map(str, folders))}"
        self.log.info(f"live reload: {self.reload_note}")

    def _files_changed(self, paths: list[Path]) -> None:
        if self.pool.stopping or self.status.draining:
            return
        configs = self._config_places.intersection(paths)
        if configs and not self._read_settings_again(configs) and configs.issuperset(paths):
            return
        names = ", ".join(self._short(path) for path in paths[:5])
        more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
        self.log.info(f"changed: {names}{more}")
        self.pool.reload(anew=True)

    def _short(self, path: Path) -> str:
        root = self.settings.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def _read_settings_again(self, changed: Collection[Path]) -> bool:
        """New workers take their settings from the changed file; the server itself can't.

        Returns whether one of the changed files has a say: what lies where a config file may lie
        can just as well belong to a model.
        """
        if self._profile.resolve is None:
            return False
        try:
            resolved = self._profile.resolve()
            self._check_config_file(resolved.config_file)
        except Exception as error:  # whatever a half-written file may cause
            self.log.error(f"the config file cannot be used, and the settings stay: {error}")
            return False
        for text in resolved.warnings:
            if text not in self._config_warnings:
                self.log.warning(text)
        files = {file.absolute() for file in (self._config_file, resolved.config_file) if file}
        self._config_file = resolved.config_file
        self._config_warnings = frozenset(resolved.warnings)
        self._take(resolved.settings)
        return not files.isdisjoint(changed)

    def _check_config_file(self, found: Path | None) -> None:
        """Raise when the file that had a say is still there, and was passed over as broken."""
        before = self._config_file
        if before is not None and before != found and before.is_file():
            read_entries(before, LARGEST)

    def _take(self, new: Settings) -> None:
        """Give the settings to the workers that start from now on."""
        old = self.launcher.settings
        changed = {
            name: item.variable
            for name, item in declarations().items()
            if getattr(new, name) != getattr(old, name)
        }
        later = [variable for name, variable in changed.items() if name not in _FOR_WORKERS]
        if later:
            self.log.warning(f"{', '.join(later)} will have effect when the server is restarted")
        self.launcher.settings = new

    def reload_by_hand(self, exchange: Exchange) -> None:
        """Reload, and answer when it is over."""
        self._awaiting_reload.append(exchange)
        self.pool.reload(anew=True)
        if not self.pool.reloading:
            self._spawn(self._tell_when_started())

    async def _tell_when_started(self) -> None:
        """Nothing served before: this is a start, not a reload."""
        while not (self.dispatcher.serving or self.pool.failed):  # noqa: ASYNC110 - rare, and brief
            await asyncio.sleep(0.05)
        self._answer_reloads()

    def start_failed(self, report: dict[str, Any]) -> None:
        """With live reload the next save may heal it: say so and wait."""
        if not self.settings.reload:
            super().start_failed(report)
        else:
            self.log_report(report)
            self.log.warning("nothing can be scored until the next save heals this")

    def reloaded(self, succeeded: bool) -> None:
        """Count it, and tell who asked."""
        super().reloaded(succeeded)
        self._answer_reloads()

    def _answer_reloads(self) -> None:
        waiting, self._awaiting_reload = self._awaiting_reload, []
        failed = self.pool.last_failure is not None
        for exchange in waiting:
            if exchange.state == DONE:
                continue
            if failed:
                failure = {"message": "The reload failed.", "report": self.status.report()}
                self.endpoints.json(exchange, 500, failure)
            else:
                body = {"message": "Reloaded.", "generation": self.pool.generation}
                self.endpoints.json(exchange, 200, body)

    def sources(self) -> Mapping[str, object]:
        """Where each setting came from; nothing while the config file that was named is broken."""
        found: Mapping[str, object] = {}
        with contextlib.suppress(UsageError):
            if self._profile.resolve is not None:
                found = self._profile.resolve().sources
        return found

    # -- routes -------------------------------------------------------------------------------

    def _other(self, exchange: Exchange) -> None:
        path = exchange.path
        ours = path == b"/debug" or path.startswith(b"/debug/")
        if not ours and path != b"/-/reload":
            self.endpoints.nothing(exchange)
        elif _from_elsewhere(exchange):
            self.endpoints.json(
                exchange, 403, {"message": "Another site's page may not ask for this."}
            )
        elif ours:
            exchange.route = routes.DEBUG if path == b"/debug/state" else routes.PAGES
            self.pages.serve(exchange)
        elif exchange.method != b"POST":
            error = MethodNotAllowed("/-/reload takes POST.", ("POST",))
            self.fail(exchange, error)
        else:
            self.reload_by_hand(exchange)

    # -- answers ------------------------------------------------------------------------------

    def failure_body(
        self, exchange: Exchange, stage: str, message: str, detail: dict[str, Any]
    ) -> tuple[bytes, str]:
        """In debug mode everything; whoever records wants it anyway."""
        self.history.failed(exchange, detail)
        if not self.settings.debug:
            return super().failure_body(exchange, stage, message, detail)
        document = error_document(
            exchange.request_id.decode("latin-1"),
            message,
            stage,
            detail,
            every_frame=wants_every_frame(exchange),
        )
        return self._written(exchange, document)

    def _written(self, exchange: Exchange, document: Mapping[str, Any]) -> tuple[bytes, str]:
        if wants_html(exchange):
            return as_page(document, self.settings.script.name), HTML
        return orjson.dumps(document, default=str), JSON

    def fail(self, exchange: Exchange, error: RequestError) -> None:
        """In debug mode a deadline and a death say more, too."""
        inside = isinstance(error, (DeadlineExceeded, WorkerLost))
        if not (self.settings.debug and inside) or exchange.state == DONE or exchange.streaming:
            super().fail(exchange, error)
            return
        exchange.reason = type(error).__name__
        lost = isinstance(error, WorkerLost)
        detail = {
            "type": type(error).__name__,
            "message": self.pool.last_death if lost else str(error),
            "hint": _HINTS[lost],
        }
        body, content_type = self.failure_body(exchange, "run", str(error), detail)
        self.reply(
            exchange,
            self.answers.complete(exchange, error.status, body, content_type, failed=True),
        )

    def reply(self, exchange: Exchange, data: bytes) -> None:
        """Send an answer; keep a copy of those that are recorded."""
        if exchange.route == routes.SCORE:
            self.history.answered(exchange, data)
        super().reply(exchange, data)

    def finish(self, exchange: Exchange) -> None:
        """Keep the request, while its body is still there."""
        if exchange.route == routes.SCORE:
            self.history.finished(exchange, self.now())
        super().finish(exchange)


_HINTS: Final = {
    True: "The log and /debug have the last stacks and what the script printed last.",
    False: "The log has the stacks at the deadline; SCORING_TIMEOUT_MS sets it.",
}


def _from_elsewhere(exchange: Exchange) -> bool:
    """Whether a page of another site sends the request from somebody's browser."""
    origin = exchange.known.get(b"origin", b"")
    return bool(origin) and origin.partition(b"://")[2] != exchange.known.get(b"host", b"")
