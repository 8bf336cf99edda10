"""Stopping a server so that everything it has accepted is answered.

On SIGTERM readiness fails first, for as long as SCOREHOST_SHUTDOWN_DELAY says: routers need that
time to notice. Then the listening sockets are closed once their backlog is accepted, each
connection ends with its next response, and the workers end when nobody waits for them any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

from scorehost.front.http.connections import Connections
from scorehost.front.http.listening import Listening
from scorehost.front.observe.log import Log
from scorehost.settings import Settings

LINGER: Final = 1.0
"""Seconds for which silent connections stay open, for requests that are on their way."""
_WATCH: Final = 0.02
_ENDING: Final = 5.0
"""Seconds that idle workers may take to end, within the grace time."""


class Phases(Protocol):
    """What moves the server through its phases; ``front.py`` documents the methods."""

    def leave(self) -> None: ...
    def drain(self) -> None: ...
    def stop(self, *, at_once: bool, ended: Callable[[], None]) -> None: ...


class Shutdown:
    """Stops one server.

    ``stop`` is called with the exit status when nothing is left to answer, or time is up.
    """

    def __init__(
        self,
        phases: Phases,
        listening: Listening,
        connections: Connections,
        settings: Settings,
        log: Log,
        loop: asyncio.AbstractEventLoop,
        stop: Callable[[int], None],
    ) -> None:
        self._phases = phases
        self._listening = listening
        self._connections = connections
        self._settings = settings
        self._log = log
        self._loop = loop
        self._stop = stop
        self._draining: asyncio.Task[None] | None = None
        self._interrupted = False
        self._end = 0.0

    def drain(self) -> None:
        """Answer everything that was accepted, then stop."""
        if self._draining is None:
            self._end = self._loop.time() + self._settings.shutdown_grace
            self._draining = self._loop.create_task(self._drain())

    def interrupt(self) -> None:
        """Note Ctrl-C, on which the arbiter asks for a drain; a second one stops at once."""
        if self._interrupted:
            self._stop(0)
        self._interrupted = True

    async def _drain(self) -> None:
        settings = self._settings
        self._log.info("server stopping: finishing accepted requests first")
        self._phases.leave()
        if settings.shutdown_delay:
            await asyncio.sleep(min(settings.shutdown_delay, settings.shutdown_grace))
        self._phases.drain()
        await self._listening.close()
        closed = self._loop.time()
        # A tenth of the grace time, at most a second, is left for the ends of the workers.
        last = self._end - min(1.0, settings.shutdown_grace / 10)
        while self._loop.time() < last:
            self._connections.close_silent(self._loop.time(), closed, LINGER)
            arriving = self._listening.accepting and self._loop.time() < closed + LINGER
            if not len(self._connections) and not arriving:
                break
            await asyncio.sleep(_WATCH)
        left = self._connections.unanswered()
        if left:
            self._log.error(
                f"{left} request{'s were' if left != 1 else ' was'} not answered within "
                f"{settings.shutdown_grace:g} s (SCOREHOST_SHUTDOWN_GRACE)"
            )
        self._stop(0)

    async def close(self, status: int) -> None:
        """End the workers, answer the requests that wait for one, and close every connection.

        Parameters
        ----------
        status : the exit status; a server that fails does not wait for its workers.
        """
        gone = asyncio.Event()
        self._phases.stop(at_once=bool(status), ended=gone.set)
        left = _ENDING
        if self._draining is not None:
            left = max(0.5, self._end - self._loop.time())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(gone.wait(), min(_ENDING, left))
        self._phases.stop(at_once=True, ended=gone.set)
        self._connections.end()
        await asyncio.sleep(0)  # the transports send what was written last
        self._connections.cut()
