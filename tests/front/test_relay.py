"""The debugger's port before a client has begun: whoever connects, it costs little and ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scorehost.dev import relay as relay_module
from scorehost.dev.relay import LARGEST_FIRST, MOST_SILENT, Messages, NoMessage, Relay


def message(**members: Any) -> bytes:
    body = json.dumps(members).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def initialize(**arguments: Any) -> bytes:
    return message(seq=1, type="request", command="initialize", arguments=arguments)


INITIALIZE = initialize(clientID="test")
ANSWER = message(seq=1, type="response", command="initialize", request_seq=1, success=True)


class Client:
    """One connection to the port."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ended(self) -> bool:
        """Wait for the end of the connection: true when nothing came before it."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:  # the port has not read everything that was sent
            return True

    async def is_answered(self) -> bool:
        return await self.reader.readexactly(len(ANSWER)) == ANSWER


class Stand:
    """A port, and behind it what stands for a debugger: it answers whatever it gets."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.received = bytearray()
        self._clients: list[Client] = []

    async def __aenter__(self) -> Stand:
        self._debugger = await asyncio.start_server(self._debug, "127.0.0.1", 0)
        port = self._debugger.sockets[0].getsockname()[1]
        self.relay = Relay(
            "127.0.0.1", 0, lambda: port, lambda: None, lambda: False, self.notices.append
        )
        await self.relay.open()
        assert self.relay._server is not None
        self.port = self.relay._server.sockets[0].getsockname()[1]
        return self

    async def _debug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            self.received += data
            writer.write(ANSWER)
        writer.close()

    async def connect(self, sent: bytes = b"") -> Client:
        client = Client()
        client.reader, client.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._clients.append(client)
        client.writer.write(sent)
        return client

    async def until(self, holds: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not holds():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)

        await asyncio.wait_for(wait(), 20)

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.writer.close()
        await self.relay.close()
        self._debugger.close()


def run(test: Callable[[Stand], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Stand() as stand:
            await asyncio.wait_for(test(stand), 60)

    asyncio.run(main())


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to begin is short."""
    monkeypatch.setattr(relay_module, "BEGINS_WITHIN", 0.2)


HTTP = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:5678\r\nContent-Type: text/plain\r\n"
FOREIGN = {
    "a GET of a browser": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a POST": HTTP + b"Content-Length: %d\r\n\r\n%b" % (len(INITIALIZE), INITIALIZE),
    "a POST whose body is the JSON": HTTP + INITIALIZE,
    "a POST in chunks": HTTP + b"Transfer-Encoding: chunked\r\n\r\n5f\r\n" + INITIALIZE,
    "a POST without a Host": b"POST / HTTP/1.0\r\n" + INITIALIZE,
    "an old GET": b"GET /\r\n\r\n" + INITIALIZE,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INITIALIZE,
    "an empty line": b"\r\n\r\n" + INITIALIZE,
    "a line end": b"\r\n" + INITIALIZE,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00" + bytes(range(256)) * 20,
    "deep JSON": b"Content-Length: 60000\r\n\r\n" + b"[" * 60_000,
    "garbage": bytes(reversed(range(256))) * 20,
    "a header without an end": b"Content-Length: 1\r\n" * 1000,
    "a huge length": b"Content-Length: 99999999999\r\n\r\n",
    "one byte too many": b"Content-Length: %d\r\n\r\n" % (LARGEST_FIRST + 1),
    "a length of many digits": b"Content-Length: " + b"9" * 3000 + b"\r\n\r\n",
    "no number": b"Content-Length: 0x10\r\n\r\n",
    "a negative length": b"Content-Length: -5\r\n\r\n",
    "no length": b"Content-Type: x\r\n\r\n",
    "a length in another header": b"X-Content-Length: 99\r\n\r\n" + INITIALIZE,
    "another request": message(seq=1, type="request", command="attach"),
    "no request": message(seq=1, type="response", command="initialize"),
    "no number of the request": message(type="request", command="initialize"),
    "no JSON": b"Content-Length: 5\r\n\r\nhello",
    "no object": b"Content-Length: 2\r\n\r\n[]",
}


@pytest.mark.parametrize("sent", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_client_is_dropped_and_an_editor_comes_after(sent: bytes):
    async def test(stand: Stand) -> None:
        foreign = await stand.connect(sent)
        assert await foreign.ended()
        await stand.until(lambda: bool(stand.notices))
        assert await (await stand.connect(INITIALIZE)).is_answered()

        (notice,) = stand.notices
        assert notice.startswith("the debugger's port received ")
        assert stand.received == INITIALIZE

    run(test)


@pytest.mark.parametrize("sent", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_client_does_not_disturb_one_that_is_there(sent: bytes):
    async def test(stand: Stand) -> None:
        editor = await stand.connect(INITIALIZE)
        assert await editor.is_answered()

        assert await (await stand.connect(sent)).ended()

        editor.writer.write(INITIALIZE)
        assert await editor.is_answered()
        assert stand.received == INITIALIZE * 2

    run(test)


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"C", b"GET / HTTP/1.1\r\nHost: x\r\n", b"Content-Length: 400\r\n\r\n{",
        b"Content-Length: 400\r\n", HTTP,
    ],
)  # fmt: skip
@pytest.mark.usefixtures("soon")
def test_what_never_begins_is_dropped_in_time(sent: bytes):
    async def test(stand: Stand) -> None:
        assert await (await stand.connect(sent)).ended()
        await stand.until(lambda: bool(stand.notices))

        assert stand.notices == [
            "the debugger's port received no initialize request within 0.2 s; "
            "the connection was closed"
        ]
        assert not stand.received

    run(test)


@pytest.mark.usefixtures("soon")
def test_a_byte_now_and_then_buys_no_time():
    async def test(stand: Stand) -> None:
        client = await stand.connect()

        async def trickle() -> None:
            for byte in b"Content-Length: 60000\r\n\r\n" + b" " * 60_000:
                client.writer.write(bytes([byte]))
                await asyncio.sleep(0.01)

        trickling = asyncio.ensure_future(trickle())
        assert await client.ended()
        trickling.cancel()
        await stand.until(lambda: bool(stand.notices))

        assert len(stand.notices) == 1
        assert not stand.received

    run(test)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", b"Content-Length: 9\r\n\r\n{"])
def test_who_leaves_in_the_middle_is_noted(sent: bytes):
    async def test(stand: Stand) -> None:
        client = await stand.connect(sent)
        client.writer.write_eof()
        assert await client.ended()
        await stand.until(lambda: bool(stand.notices))

        assert "only part of a message" in stand.notices[0]

    run(test)


def test_who_only_looks_is_not():
    async def test(stand: Stand) -> None:
        client = await stand.connect()
        client.writer.write_eof()
        assert await client.ended()

        assert stand.notices == []

    run(test)


def test_of_many_that_are_silent_the_oldest_goes():
    """So there is always room for whoever comes next, and an editor is not one of them."""

    async def test(stand: Stand) -> None:
        editor = await stand.connect(INITIALIZE)
        assert await editor.is_answered()
        silent = [await stand.connect(b"Content-") for _ in range(MOST_SILENT)]
        await stand.until(lambda: len(stand.relay._silent) == MOST_SILENT)
        assert stand.notices == []

        last = await stand.connect(b"Content-")

        assert await silent[0].ended()
        assert not any(each.reader.at_eof() for each in (*silent[1:], last))
        (notice,) = stand.notices
        assert f"more than {MOST_SILENT} connections" in notice
        editor.writer.write(INITIALIZE)
        assert await editor.is_answered()

    run(test)


def test_a_crowd_keeps_no_editor_out():
    async def test(stand: Stand) -> None:
        crowd = [await stand.connect() for _ in range(5 * MOST_SILENT)]
        await stand.until(lambda: len(stand.notices) == 4 * MOST_SILENT)

        assert await (await stand.connect(INITIALIZE)).is_answered()
        gone = await asyncio.gather(*(each.ended() for each in crowd[: 4 * MOST_SILENT]))
        assert all(gone)
        assert len(stand.relay._silent) <= MOST_SILENT

    run(test)


def test_who_has_left_is_not_counted():
    async def test(stand: Stand) -> None:
        for _ in range(2 * MOST_SILENT):
            client = await stand.connect()
            client.writer.close()
            await stand.until(lambda: not stand.relay._silent)

        assert stand.notices == []

    run(test)


def test_a_large_message_is_one_for_a_client_that_has_begun():
    """Source text in an evaluate request, for example."""

    async def test(stand: Stand) -> None:
        first = initialize(clientID="x" * (LARGEST_FIRST - 200))
        editor = await stand.connect(first)
        assert await editor.is_answered()
        large = message(
            seq=2, type="request", command="evaluate", arguments={"expression": "x" * (1 << 20)}
        )
        editor.writer.write(large)

        await stand.until(lambda: len(stand.received) == len(first) + len(large))

    run(test)


def test_a_message_in_pieces_is_taken():
    """Slow, but in time."""

    async def test(stand: Stand) -> None:
        editor = await stand.connect()
        for byte in INITIALIZE:
            editor.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await editor.is_answered()

    run(test)


def test_a_head_that_is_hard_to_read_is_read_once():
    """However many blanks a value has, and however many headers there are."""
    head = b"Content-Length: 10\r\n" + b"a:         \r\n" * 200 + b"x\r\n\r\n"
    began = time.process_time()
    with pytest.raises(NoMessage):
        list(Messages(largest=LARGEST_FIRST).feed(head))

    assert time.process_time() - began < 1
