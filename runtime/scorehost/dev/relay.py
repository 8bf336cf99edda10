"""The debugger's public port: relayed to the worker that should be debugged.

The front owns the port, so it stays the same over reloads and can be closed; and what the
debugger tells its client says whether one is attached, and whether the script stands still. All
is passed on as it is, but for the end: a client whose worker is replaced is asked to attach again.

The debugger itself has one client at a time, and does not survive much that is no message. So
nothing reaches it before a client has begun as clients do, and nothing but whole messages after.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final

OFFER_WITHIN: Final = 30.0
"""Seconds that a client may wait for a worker that is starting."""
_LOOK_EVERY: Final = 0.05
_BLANK: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"(?i)content-length: *([0-9]{1,18})")
_HEADER: Final = re.compile(rb"[\w-]+: *[^\r\n]*(\r\n[\w-]+: *[^\r\n]*)*")
_LONGEST_HEADER: Final = 4096
_LARGEST: Final = 64 << 20
"""Bytes of one message of a client."""
_LEAVING_TAKES: Final = 3.0
"""Seconds at most until the debugger has let a client go."""
_LEAVES_WITHIN: Final = 4.0
"""Seconds in which an earlier client must have left: an editor that attaches again has closed its
old connection just before."""
_FOREIGN: Final = "something that is not a message of the Debug Adapter Protocol"
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
    lives_on : whether another worker follows one that ends.
    notice : called with what a person should know.
    """

    def __init__(
        self,
        host: str,
        port: int,
        target: Callable[[], int],
        changed: Callable[[], None],
        lives_on: Callable[[], bool],
        notice: Callable[[str], None],
    ) -> None:
        self.host, self.port = host, port
        self._lives_on = lives_on
        self._notice = notice
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
        session = Session(self._changed, self._lives_on)
        self._sessions.add(session)
        try:
            await self._relay(reader, writer, session)
        except NoMessage as problem:
            self._notice(f"the debugger's port was sent {problem}; the connection was closed")
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
        async with contextlib.aclosing(requests(reader)) as asked:
            try:
                first, request = await anext(asked)
            except StopAsyncIteration:
                return  # somebody only looked whether the port is open
            if not is_first_request(request):
                raise NoMessage("something other than a client's first request")
            session.port = await self._offered()
            if session.port and not await self._has_left(session):
                self._notice("the debugger has a client already; another one was refused")
                writer.write(refusal(request))
                await writer.drain()
            elif session.port:
                await _pass_on(first, asked, writer, session)

    async def _has_left(self, session: Session) -> bool:
        """Wait a moment until no earlier client debugs that worker."""
        earlier = [each for each in self._sessions if each is not session]
        for _ in range(int(_LEAVES_WITHIN / _LOOK_EVERY)):
            if not any(each in self._sessions and each.port == session.port for each in earlier):
                return True
            await asyncio.sleep(_LOOK_EVERY)
        return False

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
    first: bytes,
    asked: AsyncIterator[tuple[bytes, dict[str, Any]]],
    writer: asyncio.StreamWriter,
    session: Session,
) -> None:
    """Both ways, until one of the two ends."""
    inner, outer = await asyncio.open_connection("127.0.0.1", session.port)
    outer.write(first)
    ways = [
        asyncio.ensure_future(_to_worker(asked, outer, session)),
        asyncio.ensure_future(_to_client(inner, writer, session)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        there, _ = await _ended(ways)
        session.gone()
        if not inner.at_eof():
            await _leave(inner, outer)
    finally:
        await _ended(ways)
        outer.close()
    if isinstance(there, NoMessage):
        raise there


async def _ended(ways: Sequence[asyncio.Task[None]]) -> list[BaseException | None]:
    """End them, and tell what each ended with."""
    for way in ways:
        way.cancel()
    return await asyncio.gather(*ways, return_exceptions=True)


async def _leave(inner: asyncio.StreamReader, outer: asyncio.StreamWriter) -> None:
    """Say goodbye for a client that has gone without: only then is there room for another."""
    outer.write(
        as_message(
            seq=1 << 30,
            type="request",
            command="disconnect",
            arguments={"terminateDebuggee": False},
        )
    )
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(inner.read(), _LEAVING_TAKES)


def as_message(**members: Any) -> bytes:
    """A message with its header."""
    body = json.dumps(members).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class NoMessage(Exception):
    """A client sent what is none of the protocol's messages; the text says what it was."""


async def requests(
    reader: asyncio.StreamReader,
) -> AsyncGenerator[tuple[bytes, dict[str, Any]], None]:
    """Each whole message of a client, as it is and as it is read.

    Raises
    ------
    NoMessage
        It sends something else.
    """
    messages = Messages(strict=True)
    while data := await reader.read(_READ_SIZE):
        for raw, message in messages.feed(data):
            if message.get("type") not in ("request", "response"):
                raise NoMessage("a message that is not a request")
            yield raw, message


def is_first_request(message: dict[str, Any]) -> bool:
    """Whether a client begins with this; what has no number cannot be answered."""
    return message.get("command") == "initialize" and isinstance(message.get("seq"), int)


def refusal(request: dict[str, Any]) -> bytes:
    """The answer to a client that comes while another one is there."""
    text = "Another client is attached to this debugger, which has one at a time."
    return as_message(
        seq=1,
        type="response",
        request_seq=request["seq"],
        success=False,
        command=request["command"],
        message=text,
        body={"error": {"id": 1, "format": text, "showUser": True}},
    )


async def _to_worker(
    asked: AsyncIterator[tuple[bytes, dict[str, Any]]],
    writer: asyncio.StreamWriter,
    session: Session,
) -> None:
    async for raw, message in asked:
        session.asked(message)
        writer.write(raw)
        await writer.drain()


async def _to_client(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session
) -> None:
    messages = Messages()
    while data := await reader.read(_READ_SIZE):
        for raw, message in messages.feed(data):
            writer.write(session.told(raw, message))
        await writer.drain()
    writer.write(messages.rest)


class Messages:
    """Cuts a stream of the Debug Adapter Protocol: a header with the length, then JSON.

    Parameters
    ----------
    strict : refuse what cannot become a message, instead of waiting for its end.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._rest = bytearray()
        self._strict = strict

    @property
    def rest(self) -> bytes:
        """What was not a whole message."""
        return bytes(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Take bytes as they come; yields each whole message, as it is and as it is read."""
        self._rest += data
        while (end := self._end()) > 0:
            raw = bytes(self._rest[:end])
            del self._rest[:end]
            message: Any = None
            with contextlib.suppress(ValueError):  # passed on all the same
                message = json.loads(raw.partition(_BLANK)[2])
            yield raw, message if isinstance(message, dict) else {}

    def _end(self) -> int:
        """Where the first message ends; 0 while it is not all there."""
        head, separator, _ = self._rest.partition(_BLANK)
        if self._strict and len(head) > _LONGEST_HEADER:
            raise NoMessage(_FOREIGN)
        if not separator:
            return 0
        length = _LENGTH.search(head)
        if self._strict and not (length and _HEADER.fullmatch(head) and int(length[1]) <= _LARGEST):
            raise NoMessage(_FOREIGN)
        end = len(head) + len(separator) + (int(length[1]) if length else 0)
        return end if len(self._rest) >= end else 0


class Session:
    """What one client's debugger says: attached, stopped, going on.

    Parameters
    ----------
    changed : called when one of the two changes.
    lives_on : whether another worker follows one that ends.
    """

    def __init__(self, changed: Callable[[], None], lives_on: Callable[[], bool]) -> None:
        self.attached = self.paused = False
        self.port = 0
        """Of the worker that the client debugs, or waits for; 0 while it has not asked."""
        self._changed, self._lives_on = changed, lives_on
        self._leaves = False

    def asked(self, message: dict[str, Any]) -> None:
        self._leaves = self._leaves or message.get("command") in ("disconnect", "terminate")

    def told(self, raw: bytes, message: dict[str, Any]) -> bytes:
        """The debugger sends a message; returns what the client gets.

        It gets the same, but for one: when the script's process ends by itself, the client is
        asked to attach again, to the one that follows. debugpy does not ask for that here.
        """
        before = self.attached, self.paused
        self._heed(message)
        if (self.attached, self.paused) != before:
            self._changed()
        if message.get("event") != "terminated" or self._leaves or not self._lives_on():
            return raw
        return as_message(**{**message, "body": {"restart": True}})

    def gone(self) -> None:
        """The client is no longer there."""
        if self.attached or self.paused:
            self.attached = self.paused = False
            self._changed()

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
