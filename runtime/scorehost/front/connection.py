"""One client's connection: bytes in, exchanges out, answers back in order.

HTTP/1.1 and 1.0, kept alive, pipelined, chunked or counted bodies, ``Expect: 100-continue``.
Parsing is llhttp's, through httptools, in its strict mode. Requests on one connection are
served one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import math
import socket
import struct
import sys
import termios
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import httptools

from scorehost.errors import BodyTooLarge, HeadersTooLarge, MalformedRequest, RequestError
from scorehost.front.admission import Refusal
from scorehost.front.bodies import Body
from scorehost.front.correlation import identify
from scorehost.front.exchange import Exchange
from scorehost.front.heads import HEAD_END, LONGEST_HEAD
from scorehost.worker.frames import MEMORY_FILE_FROM

if TYPE_CHECKING:
    from scorehost.front.front import Front

_KNOWN: Final = frozenset({
    b"x-request-id", b"x-ms-client-request-id", b"x-ms-request-id", b"traceid",
    b"content-type", b"content-length", b"expect", b"origin", b"accept",
    b"access-control-request-method", b"access-control-request-headers", b"transfer-encoding",
    b"host",
})  # fmt: skip
_LINGER: Final = 2.0
"""Seconds that a refused client may go on sending before the connection is cut; without them
the reset would overtake the answer (RFC 9112, 9.6)."""
_RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: the connection is reset instead of closed (socket(7))."""
_PIECE: Final = 256 << 10
"""Bytes of a large answer that are written at once."""
_TURN: Final = 16 << 10
"""Bytes of a chunked body that are parsed at once: in the smallest chunks, a few milliseconds."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client's connection.

    Parameters
    ----------
    front : what serves its exchanges.
    health_only : whether it came in on the health port.
    """

    __slots__ = (
        "_arriving",
        "_body",
        "_chunked",
        "_continue_owed",
        "_counted",
        "_front",
        "_header_bytes",
        "_headers",
        "_headers_done",
        "_incomplete",
        "_most_incomplete",
        "_new_head",
        "_parser",
        "_reading",
        "_since",
        "_unparsed",
        "_unsent",
        "_waiting",
        "active",
        "address",
        "closing",
        "deadline",
        "health_only",
        "lost",
        "on_drain",
        "refused",
        "transport",
        "writable",
    )

    def __init__(self, front: Front, *, health_only: bool = False) -> None:
        self._front = front
        self.health_only = health_only
        self._parser = httptools.HttpRequestParser(self)
        self._arriving: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._header_bytes = self._incomplete = self._unsent = 0
        self._most_incomplete = 2 * front.settings.max_header_bytes
        self._headers: list[tuple[bytes, bytes]] = []
        self._headers_done = True
        self._body = Body()
        self._chunked = self._continue_owed = False
        self._counted = 0
        self._reading = True
        self._new_head = self._unparsed = b""
        self.active: Exchange | None = None
        self.address = ""
        self.closing = self.lost = self.refused = False
        self.writable = True
        self.on_drain: Callable[[], None] | None = None
        self.deadline = self._since = 0.0
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)

    # -- the transport's calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the first request's headers have their time limit from now."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._since = self._front.now()
        self.deadline = self._since + self._front.settings.header_timeout
        self._front.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; complete requests are served at once or in their turn."""
        if self.refused:
            return
        if self._headers_done:
            if self._arriving is None:
                data = self._take_known(data)
            else:
                self.deadline = self._front.now() + self._front.settings.body_timeout
        if data:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Parse what has come, a chunked body by turns with whatever else the loop has to do."""
        while data and not self.refused:
            if self._counted:
                data = self._take_counted(data)
                continue
            if self._chunked and len(data) > _TURN:
                self._unparsed = data[_TURN:]
                self._regulate()
                self._front.soon(self._take_rest)
                data = data[:_TURN]
            data = self._parse(data)

    def _take_counted(self, data: bytes) -> bytes:
        """Take a large body whose length is known past the parser, which would copy it.

        Returns what follows it; that is for a new parser, as this one still waits for the body.
        """
        exchange = self._arriving
        assert exchange is not None  # noqa: S101 - it is what is counted
        missing = self._counted - exchange.size
        try:
            if len(data) < missing:
                self._body.add(exchange, data)
                return b""
            self._body.add(exchange, data if len(data) == missing else data[:missing])
            self._parser = httptools.HttpRequestParser(self)
            self.on_message_complete()
        except OSError as error:
            self.refuse_unread(no_room(error))
        return data[missing:]

    def _take_rest(self) -> None:
        data, self._unparsed = self._unparsed, b""
        if not self.lost:
            self._take(data)
            self._regulate()

    def _regulate(self) -> None:
        """Read no more while there is enough to do."""
        wanted = not self._waiting and not self._unparsed
        if wanted != self._reading and not self.refused:
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _take_known(self, data: bytes) -> bytes:
        """Take whole requests whose head has been parsed before; returns what is left.

        The parser is between two messages and does not notice.
        """
        front = self._front
        admission = front.admission
        while True:
            end = data.find(HEAD_END, 0, LONGEST_HEAD) + 4
            if end < 4:
                return data
            text = data[:end]
            head = front.known_head(text)
            if head is None:
                self._new_head = text
                return data
            length = head.length
            last = end + length
            if last > len(data) or front.draining or not admission.has_room(length):
                return data
            exchange = Exchange(self, front.now(), head.known)
            exchange.method = head.method
            exchange.target = head.target
            exchange.path = head.path
            exchange.headers = head.headers
            exchange.head_only = head.head_only
            exchange.usual = head.usual
            exchange.route = head.route
            exchange.request_id = exchange.legacy_id = front.make_id()
            exchange.size = exchange.held = length
            exchange.body = data[end:last]
            admission.bytes_held += length
            self._complete(exchange)
            if last == len(data) or self.refused:
                return b""
            data = data[last:]

    def _parse(self, data: bytes) -> bytes:
        """Feed the parser; returns what follows an ignored offer to upgrade."""
        self._incomplete += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # Offers (h2c, mostly) may be ignored: RFC 9110, 7.8.
            self._parser = httptools.HttpRequestParser(self)
            return data[offer.args[0] :]
        except httptools.HttpParserCallbackError as wrapped:
            error = wrapped.__context__
            if isinstance(error, OSError):  # of the body's memory file
                error = no_room(error)
            if not isinstance(error, RequestError):
                raise
            self.refuse_unread(error)
        except httptools.HttpParserError as error:
            self.refuse_unread(MalformedRequest(f"This is not an HTTP request: {error}."))
        if self._arriving is not None and self._incomplete > self._most_incomplete:
            self.refuse_unread(self._headers_too_large())
        return b""

    def eof_received(self) -> bool:
        """The client sends no more: it has left, or only closed its half.

        Nobody can tell the two apart. What a worker has begun is answered; what still waits is
        taken for abandoned, as by other servers, so that nothing is scored for nobody.
        """
        exchange = self.active
        if exchange is None or self._front.give_up_waiting(exchange):
            return False
        exchange.keep_alive = bool(self._waiting)
        return not self._front.speaks_tls

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone, and with it everything that was meant for it."""
        self.lost = True
        if self._arriving is not None and self._arriving is not self.active:
            self._front.abandon(self._arriving)
        for exchange in self._waiting:
            self._front.abandon(exchange)
        self._waiting.clear()
        if self.active is not None:
            self._front.abandon(self.active)
        self.on_drain = None  # it may hold a large answer, and this connection
        self._front.closed(self)

    def pause_writing(self) -> None:
        """The client takes its answer slowly: nothing more is begun for it until it has."""
        self.writable = False
        self._wait_for_client(self._front.now())

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.writable = True
        if self.active is not None:
            self.deadline = 0.0
        else:
            self._wait_for_client(self._front.now())
            self._front.soon(self._next)
        if self.on_drain is not None:
            self.on_drain()

    def _wait_for_client(self, now: float) -> None:
        """Set the time limit for whatever the client has to do next."""
        front = self._front
        if not self.writable:
            self._unsent = self._not_taken()
            self.deadline = now + front.settings.body_timeout
        elif self._arriving is None:
            self.deadline = now + front.idle_timeout
        else:
            settings = front.settings
            self.deadline = now + (
                settings.body_timeout if self._headers_done else settings.header_timeout
            )

    # -- the parser's calls -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request line begins."""
        now = self._front.now()
        self._arriving = exchange = Exchange(self, now, {})
        exchange.headers = self._headers = []
        self._headers_done = self._chunked = self._continue_owed = False
        self._header_bytes = self._incomplete = 0
        if self.active is None:
            self.deadline = now + self._front.settings.header_timeout

    def on_url(self, url: bytes) -> None:
        """Part of the target."""
        exchange = self._arriving
        assert exchange is not None  # noqa: S101 - llhttp calls on_message_begin first
        exchange.target += url
        self._header_bytes += len(url)
        if self._header_bytes > self._front.settings.max_header_bytes:
            raise self._headers_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which only counts."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._front.settings.max_header_bytes:
            raise self._headers_too_large()
        exchange = self._arriving
        if exchange is None or self._headers_done:
            return
        self._headers.append((name, value))
        lowered = name.lower()
        if lowered in _KNOWN:
            if lowered == b"host" and b"host" in exchange.known:
                raise MalformedRequest("The request has two Host headers.")
            exchange.known[lowered] = value

    def on_headers_complete(self) -> None:
        """Everything but the body is there: refuse what can be refused without it."""
        exchange = self._arriving
        assert exchange is not None  # noqa: S101
        self._headers_done = True
        self._incomplete = 0
        parser = self._parser
        exchange.method = parser.get_method()
        exchange.path = exchange.target.partition(b"?")[0]
        exchange.keep_alive = parser.should_keep_alive() and not self._front.draining
        if exchange.method == b"HEAD":
            exchange.head_only = True
        known = exchange.known
        version = parser.get_http_version()
        if version != "1.1":
            self._check_old_version(exchange, version)
        elif b"host" not in known:
            raise MalformedRequest("An HTTP/1.1 request needs a Host header (RFC 9112, 3.2).")
        identify(exchange, self._front.make_id)
        exchange.usual = not (
            exchange.client_id or exchange.trace_id or exchange.http10 or exchange.head_only
        )
        self._front.routes.assign(exchange)
        if b"content-length" in known:
            length = int(known[b"content-length"])
            self._expect_body(exchange, length)
            self._counted = length if length >= MEMORY_FILE_FROM else 0
        self._chunked = b"transfer-encoding" in known
        if self._new_head:
            self._front.heads.remember(self._new_head, exchange)
            self._new_head = b""
        if self.active is None:
            self.deadline = exchange.arrived + self._front.settings.body_timeout
        if b"expect" in known:
            self._answer_expectation(exchange, known[b"expect"])

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        exchange = self._arriving
        assert exchange is not None  # noqa: S101
        self._incomplete = 0
        self._continue_owed = False
        size = exchange.size + len(data)
        if size > exchange.held:
            self._expect_body(exchange, size)
        self._body.add(exchange, data)

    def on_message_complete(self) -> None:
        """The whole request is there."""
        exchange, self._arriving = self._arriving, None
        assert exchange is not None  # noqa: S101
        self._chunked = False
        self._counted = 0
        self._body.end(exchange)
        self._complete(exchange)

    def _complete(self, exchange: Exchange) -> None:
        """A whole request is there: it is served at once, or in its turn."""
        if self.active is None and self.writable and not self._waiting:
            self.active = exchange
            self.deadline = 0.0
            self._front.serve(exchange)
        else:
            self._waiting.append(exchange)
            self._regulate()

    # -- parts --------------------------------------------------------------------------------

    @staticmethod
    def _check_old_version(exchange: Exchange, version: str) -> None:
        if version != "1.0":
            raise MalformedRequest(f"HTTP/{version} is not served here; HTTP/1.1 and 1.0 are.")
        exchange.http10 = True
        if b"transfer-encoding" in exchange.known:
            # Older proxies don't know it and would see another end: RFC 9112, 6.1.
            raise MalformedRequest("An HTTP/1.0 request has no Transfer-Encoding (RFC 9112, 6.1).")

    def _headers_too_large(self) -> HeadersTooLarge:
        limit = self._front.settings.max_header_bytes
        return HeadersTooLarge(
            f"The request line and headers are over {limit} bytes "
            "(SCOREHOST_MAX_HEADER_BYTES). Send fewer or shorter headers."
        )

    def _expect_body(self, exchange: Exchange, size: int) -> None:
        limit = self._front.settings.max_body_bytes
        if size > limit:
            raise BodyTooLarge(
                f"The body has {size} bytes or more; at most {limit} are accepted "
                "(SCOREHOST_MAX_BODY_BYTES). Send less, or raise the limit."
            )
        self._front.admission.hold(exchange, size)

    def _answer_expectation(self, exchange: Exchange, value: bytes) -> None:
        if value.lower() == b"100-continue" and not exchange.http10:
            self._continue_owed = True
            if self.active is None:
                self._ask_for_body()

    def _ask_for_body(self) -> None:
        self._continue_owed = False
        self.write(_CONTINUE)

    # -- answers ------------------------------------------------------------------------------

    def finished(self, exchange: Exchange, now: float) -> None:
        """The active exchange's last byte has been handed to the transport."""
        self.active = None
        if self.lost:
            return
        if not exchange.keep_alive:
            self.close()
        elif self._waiting:
            self._front.soon(self._next)
        elif self.writable and self._arriving is None:
            self.deadline = now + self._front.idle_timeout
        else:
            if self._continue_owed:
                self._ask_for_body()
            self._wait_for_client(now)

    def _next(self) -> None:
        """Serve the next of the pipelined requests."""
        if self.lost or self.active is not None or not self._waiting or not self.writable:
            return
        exchange = self._waiting.popleft()
        self._regulate()
        if self._front.draining and not self._waiting:
            exchange.keep_alive = False
        self.active = exchange
        self.deadline = 0.0
        self._front.serve(exchange)

    def refuse_unread(self, error: RequestError) -> None:
        """Answer a request that is not read any further, and close."""
        if self.refused:
            return
        self.refused = True
        exchange = self._arriving
        if exchange is None:
            exchange = Exchange(self, self._front.now(), {})
        self._arriving = None
        self._counted = 0
        self._body.forget()
        if not exchange.request_id:
            exchange.request_id = exchange.legacy_id = self._front.make_id()
        exchange.keep_alive = False
        exchange.error = error
        if self.active is None:
            self.active = exchange
            self._front.serve(exchange)
        else:
            self._waiting.append(exchange)  # what came before is answered first

    def close(self) -> None:
        """Close once everything written has left; a refused client may finish sending.

        To be told so twice ends its time.
        """
        if self.closing:
            if self.refused:
                self.transport.close()
            return
        self.closing = True
        if self.refused and self.transport.can_write_eof():
            self.transport.write_eof()
            self.deadline = self._front.now() + _LINGER
        else:
            self.transport.close()

    def write_large(self, body: memoryview, done: Callable[[], None], start: int = 0) -> None:
        """Write a body in pieces, each when the one before has been taken; then call back."""
        if self.lost:
            return
        self.on_drain = None
        end = start + _PIECE
        self.write(body[start:end])
        if end >= len(body):
            done()
        elif self.writable:
            self._front.soon(self.write_large, body, done, end)
        else:
            self.on_drain = partial(self.write_large, body, done, end)

    def write(self, data: bytes | memoryview) -> None:
        """Hand bytes to the transport, unless the client has just left.

        The transport knows before :meth:`connection_lost` is called, and uvloop's raises then.
        """
        if not self.transport.is_closing():
            self.transport.write(data)

    def last_answer_closes(self) -> None:
        """Close after what has been received is answered, if that can still be said."""
        last = self._waiting[-1] if self._waiting else self.active
        if last is not None and not last.streaming:
            last.keep_alive = False

    def reset(self) -> None:
        """End so that no client takes what it has for complete, not even one of HTTP/1.0."""
        if self.lost:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.closing = True
        self.transport.abort()

    @property
    def idle(self) -> bool:
        """Whether nothing is being received or answered, and the last answer has left."""
        return (
            self.active is None
            and self._arriving is None
            and not self._waiting
            and not self.transport.get_write_buffer_size()
        )

    @property
    def silent_since(self) -> float:
        """When the client was last heard of, if it is its turn; infinity while it is ours."""
        if self._waiting or self.active is not None or self.transport.get_write_buffer_size():
            return math.inf
        settings = self._front.settings
        if self._arriving is None:  # since its last answer, or since it came
            return max(self._since, self.deadline - self._front.idle_timeout)
        limit = settings.body_timeout if self._headers_done else settings.header_timeout
        return self.deadline - limit

    def expire(self) -> None:
        """The connection's time limit has passed; what that means depends on where it is."""
        if not self.writable:
            self._give_up_reader()
        elif self.refused:
            self.transport.abort()
        elif self.closing or self._arriving is None:
            self.transport.close()
        elif self._waiting:  # it is not the client that is slow: nothing is read from it now
            self._wait_for_client(self._front.now())
        else:
            self._front.client_too_slow(self, headers=not self._headers_done)

    def _give_up_reader(self) -> None:
        """Cut a client that has taken nothing of its answer; wait for one that is only slow."""
        if self._not_taken() < self._unsent:
            self._wait_for_client(self._front.now())
        else:
            self.transport.abort()

    def _not_taken(self) -> int:
        """Bytes that the client has not acknowledged, here and in the kernel.

        The kernel takes megabytes for a slow client at once and then nothing for a long while.
        """
        sock = self.transport.get_extra_info("socket")
        kept = bytearray(4)
        with contextlib.suppress(OSError):
            fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, kept)
        return self.transport.get_write_buffer_size() + int.from_bytes(kept, sys.byteorder)


def no_room(error: OSError) -> Refusal:
    """The refusal of a body that the system has no memory file for."""
    return Refusal(f"There is no room for another body now: {error}.")
