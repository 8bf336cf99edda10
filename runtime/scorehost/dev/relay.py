"""The debugger's public port, relayed to the worker that should be debugged.

The front owns the port, so it stays the same across reloads and can be closed; and the debugger's
messages to its client tell whether one is attached and whether the script is paused. Everything is
passed on unchanged, except for the end: a client whose worker is replaced is asked to attach again.

The debugger accepts one client at a time, and input that is not part of the protocol can break it.
So nothing reaches it until a client has begun as clients do, and only whole messages afterwards.
What has not begun is bounded in size, time and number: anything may connect, a web page included,
whose browser sends HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

OFFER_WITHIN: Final = 30.0
"""Seconds that a client may wait for a worker that is starting."""
_LOOK_EVERY: Final = 0.05
_BLANK: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"(?i)(?:\A|\r\n)content-length: *([0-9]{1,18})(?:\r\n|\Z)")
_HEADER: Final = re.compile(rb"[\w-]+:[^\r\n]*(?:\r\n[\w-]+:[^\r\n]*)*")
_LONGEST_HEADER: Final = 4096
_LARGEST: Final = 64 << 20
"""Bytes that one message of a client may have."""
LARGEST_FIRST: Final = 64 << 10
"""Bytes that a client's first message may have; an editor's has about one thousand."""
BEGINS_WITHIN: Final = 5.0
"""Seconds in which that message must have come; editors send it at once."""
MOST_SILENT: Final = 16
"""Connections on which it has not come yet."""
_LEAVING_TAKES: Final = 3.0
"""Seconds that the debugger may take to let a client go."""
_LEAVES_WITHIN: Final = 4.0
"""Seconds in which an earlier client must have left: an editor that attaches again has closed its
old connection just before."""
_FOREIGN: Final = "data that is not a Debug Adapter Protocol message"
_READ_SIZE: Final = 64 << 10
_GOING_ON: Final = frozenset(
    {"continue", "next", "stepIn", "stepOut", "stepBack", "reverseContinue", "goto", "disconnect"}
)

Read: TypeAlias = tuple[bytes, dict[str, Any]]
"""A message as it came, and parsed; parsed it is empty when it is not a JSON object."""


class Relay:
    """One listening port.

    Parameters
    ----------
    host, port : where clients connect.
    target : returns the port on 127.0.0.1 of the worker to debug, or 0 while there is none.
    changed : called when a client attaches or leaves, or the script pauses or continues.
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
        self._target, self._changed, self._lives_on = target, changed, lives_on
        self._notice = notice
        self._server: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[Any], Session] = {}
        self._silent: list[asyncio.StreamWriter] = []

    @property
    def listening(self) -> bool:
        return self._server is not None

    @property
    def attached(self) -> bool:
        """Whether a client is attached to the script."""
        return any(session.attached for session in self._sessions.values())

    @property
    def paused(self) -> bool:
        """Whether the script is paused, at a breakpoint for example."""
        return any(each.attached and each.paused for each in self._sessions.values())

    def state(self) -> dict[str, Any]:
        """What probes and commands tell of the debugger."""
        return {
            "host": self.host,
            "port": self.port,
            "attached": self.attached,
            "paused": self.paused,
        }

    async def open(self) -> None:
        """Listen; raises OSError when the port is taken."""
        if self._server is None:
            self._server = await asyncio.start_server(self._client, self.host, self.port)

    async def close(self) -> None:
        """Stop listening, and disconnect every client."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in self._sessions:
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as one
        session = self._sessions[task] = Session(self._changed, self._lives_on)
        try:
            await self._relay(reader, writer, session)
        except NoMessage as problem:
            self._notice(f"the debugger's port received {problem}; the connection was closed")
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            del self._sessions[task]
            writer.close()
            self._changed()

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session
    ) -> None:
        async with contextlib.aclosing(requests(reader)) as asked:
            begun = await self._begin(asked, writer)
            if begun is None:
                return  # somebody only looked whether the port is open
            first, request = begun
            asks = request.get("type"), request.get("command")
            if asks != ("request", "initialize") or not isinstance(request.get("seq"), int):
                raise NoMessage("a first message that is not an initialize request")
            session.port = await self._offered()
            if session.port and not await self._has_left(session):
                self._notice("the debugger already has a client; another one was refused")
                writer.write(refusal(request))
                await writer.drain()
            elif session.port:
                await _pass_on(first, asked, writer, session)

    async def _begin(self, asked: AsyncIterator[Read], writer: asyncio.StreamWriter) -> Read | None:
        """Wait for a client's first message; None when the connection ends without one."""
        self._silent.append(writer)
        if len(self._silent) > MOST_SILENT:  # whoever comes now may be an editor
            self._silent.pop(0).transport.abort()
            self._notice(
                f"the debugger's port has more than {MOST_SILENT} connections without an "
                "initialize request; the oldest was closed"
            )
        try:
            return await asyncio.wait_for(_next(asked), BEGINS_WITHIN)
        except asyncio.TimeoutError:
            raise NoMessage(f"no initialize request within {BEGINS_WITHIN:g} s") from None
        finally:
            if writer in self._silent:
                self._silent.remove(writer)

    async def _has_left(self, session: Session) -> bool:
        """Wait a moment until no earlier client debugs that worker."""
        earlier = [task for task, each in self._sessions.items() if each is not session]
        for _ in range(int(_LEAVES_WITHIN / _LOOK_EVERY)):
            here = [self._sessions[task] for task in earlier if task in self._sessions]
            if all(each.port != session.port for each in here):
                return True
            await asyncio.sleep(_LOOK_EVERY)
        return False

    async def _offered(self) -> int:
        """Wait until a worker has a debugger, and return its port; 0 when none has in time."""
        for _ in range(int(OFFER_WITHIN / _LOOK_EVERY)):
            if port := self._target():
                return port
            await asyncio.sleep(_LOOK_EVERY)
        return 0


async def _next(asked: AsyncIterator[Read]) -> Read | None:
    async for each in asked:
        return each
    return None


async def _pass_on(
    first: bytes, asked: AsyncIterator[Read], writer: asyncio.StreamWriter, session: Session
) -> None:
    """Pass messages on in both directions until one of the two sides ends."""
    inner, outer = await asyncio.open_connection("127.0.0.1", session.port)
    outer.write(first)

    async def to_worker() -> None:
        async for raw, message in asked:
            session.asked(message)
            outer.write(raw)
            await outer.drain()

    async def to_client() -> None:
        messages = Messages()
        while data := await inner.read(_READ_SIZE):
            for raw, message in messages.feed(data):
                writer.write(session.told(raw, message))
            await writer.drain()
        writer.write(messages.rest)

    ways = [asyncio.ensure_future(to_worker()), asyncio.ensure_future(to_client())]
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
    """Cancel both directions, and return what each ended with."""
    for way in ways:
        way.cancel()
    return await asyncio.gather(*ways, return_exceptions=True)


async def _leave(inner: asyncio.StreamReader, outer: asyncio.StreamWriter) -> None:
    """Disconnect for a client that left without doing so: only then is there room for another."""
    goodbye = {"command": "disconnect", "arguments": {"terminateDebuggee": False}}
    outer.write(as_message(seq=1 << 30, type="request", **goodbye))
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(inner.read(), _LEAVING_TAKES)


def as_message(**members: Any) -> bytes:
    """A message with its header."""
    body = json.dumps(members).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class NoMessage(Exception):
    """A client sent something that the protocol does not allow; the text says what it was."""


async def requests(reader: asyncio.StreamReader) -> AsyncGenerator[Read, None]:
    """Yield each whole message of a client; raises NoMessage when it sends something else."""
    messages = Messages(largest=LARGEST_FIRST)
    while data := await reader.read(_READ_SIZE):
        for raw, message in messages.feed(data):
            messages.largest = _LARGEST
            if message.get("type") not in ("request", "response"):
                raise NoMessage("a message that is not a request")
            yield raw, message
    if messages.rest:
        raise NoMessage("only part of a message")


def refusal(request: dict[str, Any]) -> bytes:
    """The answer to a client that connects while another one is attached."""
    text = "Another client is attached to this debugger, which accepts one client at a time."
    return as_message(
        seq=1, type="response", request_seq=request["seq"], success=False,
        command=request["command"], message=text,
        body={"error": {"id": 1, "format": text, "showUser": True}},
    )  # fmt: skip


class Messages:
    """Splits a Debug Adapter Protocol stream: a header with the length, then JSON.

    Parameters
    ----------
    largest : bytes that a message may have. What has more, or cannot become a message, is refused
        as soon as that is seen; None waits for its end, whatever it is.

    Attributes
    ----------
    rest : bytes that are not a whole message yet.
    """

    def __init__(self, *, largest: int | None = None) -> None:
        self.rest = bytearray()
        self.largest = largest

    def feed(self, data: bytes) -> Iterator[Read]:
        """Take bytes as they come, and yield each whole message."""
        self.rest += data
        while (end := self._end()) > 0:
            raw = bytes(self.rest[:end])
            del self.rest[:end]
            message: Any = None
            with contextlib.suppress(ValueError, RecursionError):  # passed on all the same
                message = json.loads(raw.partition(_BLANK)[2])
            yield raw, message if isinstance(message, dict) else {}

    def _end(self) -> int:
        """Where the first message ends; 0 while part of it is missing."""
        head, separator, _ = self.rest.partition(_BLANK)
        if self.largest is not None and len(head) > _LONGEST_HEADER:
            raise NoMessage(_FOREIGN)
        if not separator:
            return 0
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if self.largest is not None:
            if found is None or not _HEADER.fullmatch(head):
                raise NoMessage(_FOREIGN)
            if length > self.largest:
                raise NoMessage(f"a message of {length} bytes, of at most {self.largest}")
        end = len(head) + len(separator) + length
        return end if len(self.rest) >= end else 0


class Session:
    """What one client's messages say: attached, paused, or running.

    Parameters
    ----------
    changed : called when ``attached`` or ``paused`` changes.
    lives_on : whether another worker follows one that ends.

    Attributes
    ----------
    port : that of the worker which the client debugs or waits for; 0 while it has not asked.
    """

    def __init__(self, changed: Callable[[], None], lives_on: Callable[[], bool]) -> None:
        self.attached = self.paused = False
        self.port = 0
        self._changed, self._lives_on = changed, lives_on
        self._leaves = False

    def asked(self, message: dict[str, Any]) -> None:
        self._leaves = self._leaves or message.get("command") in ("disconnect", "terminate")

    def told(self, raw: bytes, message: dict[str, Any]) -> bytes:
        """Take a message of the debugger, and return what the client gets.

        The client gets the same message, with one exception: when the script's process ends by
        itself, the client is asked to attach again, to the process that follows. debugpy does not
        ask for that here.
        """
        before = self.attached, self.paused
        self._heed(message)
        if (self.attached, self.paused) != before:
            self._changed()
        if message.get("event") != "terminated" or self._leaves or not self._lives_on():
            return raw
        return as_message(**{**message, "body": {"restart": True}})

    def gone(self) -> None:
        """The client has left."""
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
