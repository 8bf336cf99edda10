"""The debugger's public port: relayed to the worker that should be debugged.

The front owns the port, so it stays the same over reloads and can be closed; and what the
debugger tells its client says whether one is attached, and whether the script stands still. The
bytes themselves are passed on untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, Final

OFFER_WITHIN: Final = 30.0
"""Seconds that a client may wait for a worker that is starting."""
_LOOK_EVERY: Final = 0.05
_READ_SIZE: Final = 64 << 10
_GOING_ON: Final = frozenset(
    {"continue", "next", "stepIn", "stepOut", "stepBack", "reverseContinue", "goto", "disconnect"}
)


class Relay:
    """One listening port.

    Parameters
    ----------
    host, port : where clients connect.
    target : tells the port on 127.0.0.1 of the worker to debug; 0 while there is none.
    changed : called when a client attaches, leaves, stops the script or lets it go on.
    """

    def __init__(
        self, host: str, port: int, target: Callable[[], int], changed: Callable[[], None]
    ) -> None:
        self.host, self.port = host, port
        self._target, self._changed = target, changed
        self._server: asyncio.Server | None = None
        self._sessions: set[Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def listening(self) -> bool:
        """Whether clients can connect."""
        return self._server is not None

    @property
    def attached(self) -> bool:
        """Whether a client debugs the script."""
        return any(session.attached for session in self._sessions)

    @property
    def paused(self) -> bool:
        """Whether the script stands at a breakpoint."""
        return any(session.attached and session.paused for session in self._sessions)

    async def open(self) -> None:
        """Listen.

        Raises
        ------
        OSError
            The port is taken.
        """
        if self._server is None:
            self._server = await asyncio.start_server(self._client, self.host, self.port)

    async def close(self) -> None:
        """Listen no longer, and let every client go."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as one
        self._tasks.add(task)
        session = Session(self._changed)
        self._sessions.add(session)
        try:
            await self._relay(reader, writer, session)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._sessions.discard(session)
            self._tasks.discard(task)
            writer.close()
            self._changed()

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session
    ) -> None:
        port = await self._offered()
        if not port:
            return
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        ways = [
            asyncio.ensure_future(_pass_on(reader, outer, None)),
            asyncio.ensure_future(_pass_on(inner, writer, session)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            outer.close()

    async def _offered(self) -> int:
        """Wait until a worker has a debugger."""
        with contextlib.suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(self._look(), OFFER_WITHIN)
        return 0

    async def _look(self) -> int:
        while not (port := self._target()):  # noqa: ASYNC110 - a word in shared memory
            await asyncio.sleep(_LOOK_EVERY)
        return port


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session | None
) -> None:
    while data := await reader.read(_READ_SIZE):
        writer.write(data)
        if session is not None:
            with contextlib.suppress(ValueError):  # not the protocol: passed on all the same
                session.feed(data)
        await writer.drain()


class Session:
    """What one client's debugger says: attached, stopped, going on.

    Reads the messages of the Debug Adapter Protocol: a header with the length, then JSON.

    Parameters
    ----------
    changed : called when one of the two changes.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.attached = self.paused = False
        self._changed = changed
        self._rest = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes as they pass by."""
        self._rest += data
        before = self.attached, self.paused
        while (message := self._next()) is not None:
            self._heed(message)
        if (self.attached, self.paused) != before:
            self._changed()

    def _next(self) -> dict[str, Any] | None:
        head, separator, _ = self._rest.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")),
            0,
        )
        start = len(head) + len(separator)
        if len(self._rest) < start + length:
            return None
        body = bytes(self._rest[start : start + length])
        del self._rest[: start + length]
        with contextlib.suppress(ValueError):
            message = json.loads(body)
            return message if isinstance(message, dict) else {}
        return {}

    def _heed(self, message: dict[str, Any]) -> None:
        event, command = message.get("event"), message.get("command")
        if event == "initialized":
            self.attached = True
        elif event == "stopped":
            self.paused = True
        elif event == "terminated":
            self.attached = self.paused = False
        elif event == "continued" or (command in _GOING_ON and message.get("success")):
            self.paused = False
