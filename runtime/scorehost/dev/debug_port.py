"""The debugger's port: open from the start in debug mode, or on request."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from typing import Any, Final

from scorehost.dev.control import Answer, Control
from scorehost.dev.places import exposure, shown_address
from scorehost.dev.relay import Relay
from scorehost.errors import MissingExtra
from scorehost.front.features import Parts
from scorehost.front.observe.log import Log
from scorehost.front.phase import STOPPED
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.roster import SERVING, STARTING
from scorehost.interpreter import own_debugpy
from scorehost.settings import Settings
from scorehost.wire.signals import DEBUG_SIGNAL

_LISTENS_WITHIN: Final = 15.0
"""Seconds that a worker may take to open its debugger."""


class DebugPort:
    """Relays one port to the worker that should be debugged.

    Parameters
    ----------
    settings : the address and port, and when it is opened.
    log : receives a line when the port opens or closes and when a client comes or goes.
    parts : the server.
    spawn : runs a coroutine on the event loop.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        parts: Parts,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._settings = settings
        self._log = log
        self._parts = parts
        self._spawn = spawn
        self._control: Control | None = None
        self._was_attached = False
        self.relay = Relay(
            settings.debug_host,
            settings.debug_port,
            self._debug_target,
            self._debugger_changed,
            lambda: settings.debug and parts.context.phase.now < STOPPED,
            log.warning,
        )

    def start(self) -> None:
        if self._settings.debug:
            self._spawn(self._open_debugger())
        self._spawn(self._open_control())

    def close(self) -> None:
        """Close the socket on which ``scorehost debug`` is answered."""
        if self._control is not None:
            self._control.close()

    def add_to_state(self, document: dict[str, Any]) -> None:
        if self.relay.listening:
            document["debugger"] = self.relay.state()

    async def _open_debugger(self) -> None:
        if problem := self._missing() or await self._listen(
            "Choose another port with --debug-port."
        ):
            self._log.error(problem)

    async def _listen(self, cure: str) -> str:
        """Open the port; returns why that failed and what cures it, or ""."""
        where = shown_address(self.relay.host, self.relay.port)
        try:
            await self.relay.open()
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                cure = "Restart the server with --debug-host and an address of this machine."
            return f"The debugger cannot listen on {where} ({error.strerror or error}). {cure}"
        self._log.warning(
            f"the debugger is listening on {where}; 'scorehost launch-json' prints the "
            "configuration that an editor needs to attach"
        )
        if exposed := exposure(self.relay.host):
            self._log.warning(exposed)
        return ""

    def _debug_target(self) -> int:
        """The private port of the worker that a client gets: a serving one, else the newest."""
        offered = [
            worker
            for worker in self._parts.pool.workers
            if worker.member.state in (STARTING, SERVING) and worker.shared.debugger_port
        ]
        serving = [worker for worker in offered if worker.member.state == SERVING]
        best = (serving or offered)[-1:]
        return best[0].shared.debugger_port if best else 0

    def _debugger_changed(self) -> None:
        attached = self.relay.attached
        self._parts.dispatcher.deadlines_suspended = attached
        if attached != self._was_attached:
            self._was_attached = attached
            self._log.warning(
                "a debugger is attached: deadlines and queue limits are suspended"
                if attached
                else "the debugger has detached: deadlines and queue limits apply again"
            )

    # -- on demand ----------------------------------------------------------------------------

    async def _open_control(self) -> None:
        commands = {"open": self._demand, "close": self._dismiss, "status": self._tell}
        control = Control(self._settings.port, commands)
        try:
            await control.open()
        except OSError as error:
            self._log.warning(f"'scorehost debug' will not be able to reach this server: {error}")
            return
        self._control = control

    async def _demand(self) -> Answer:
        """Have a worker open its debugger, and open the port to it."""
        if problem := self._missing():
            return {"error": problem}
        serving = self._parts.dispatcher.serving
        if not serving:
            return {"error": self._parts.status.not_ready()}
        if not self._debug_target():
            await self._make_listen(serving[0])
        if not self._debug_target():
            return {"error": "The worker did not open its debugger. It may be running native code."}
        cure = "Free that port, or restart the server with another --debug-port."
        if problem := await self._listen(cure):
            return {"error": problem}
        return await self._tell()

    async def _make_listen(self, worker: WorkerHandle) -> None:
        worker.signal(DEBUG_SIGNAL)
        until = self._parts.context.now() + _LISTENS_WITHIN
        while self._parts.context.now() < until and worker in self._parts.pool.workers:
            if worker.shared.debugger_port:
                return
            await asyncio.sleep(0.05)

    async def _dismiss(self) -> Answer:
        """Close the port and disconnect its clients."""
        await self.relay.close()
        self._log.warning("the debugger's port was closed")
        return await self._tell()

    async def _tell(self) -> Answer:
        relay = self.relay
        return {"listening": relay.listening} | relay.state()

    def _missing(self) -> str:
        if own_debugpy() or self._parts.launcher.interpreter.has("debugpy"):
            return ""
        return str(MissingExtra("The debugger", "debugpy", "debug"))
