"""One client's connection: requests in, answers back in order, and the client's time limits.

HTTP/1.1 and 1.0, kept alive, pipelined. Requests on one connection are served one after the other.
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

from scorehost.errors import RequestError
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.parser import Parser

if TYPE_CHECKING:
    from scorehost.front.front import Front

_LINGER: Final = 2.0
"""Seconds that a refused client may go on sending before the connection is cut; without them
the reset would overtake the answer (RFC 9112, 9.6)."""
_GOODBYE: Final = 0.2
"""Seconds for a TLS client to close its side (close_notify: RFC 8446, 6.1). Clients that pool
connections do so at their next request, and the loop would wait for half a minute."""
_RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: the connection is reset instead of closed (socket(7))."""
_PIECE: Final = 256 << 10
"""Bytes of a large answer that are written at once."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client's connection.

    Parameters
    ----------
    front : what serves its exchanges.
    health_only : whether it came in on the health port.
    """

    __slots__ = (
        "_front",
        "_parser",
        "_reading",
        "_since",
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
        self._parser = Parser(front, self)
        self._waiting: deque[Exchange] = deque()
        self._unsent = 0
        self._reading = True
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
        parser = self._parser
        if parser.headers_done and parser.exchange is not None:
            self.deadline = self._front.now() + self._front.settings.body_timeout
        parser.take(data)

    def regulate(self) -> None:
        """Read no more while there is enough to do."""
        wanted = not self._waiting and not self._parser.unparsed
        if wanted != self._reading and not self.refused:
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

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
        if self._parser.exchange is not None and self._parser.exchange is not self.active:
            self._front.abandon(self._parser.exchange)
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
        elif self._parser.exchange is None:
            self.deadline = now + front.idle_timeout
        else:
            settings = front.settings
            self.deadline = now + (
                settings.body_timeout if self._parser.headers_done else settings.header_timeout
            )

    # -- requests -----------------------------------------------------------------------------

    def arrived(self, exchange: Exchange) -> None:
        """A whole request is there: it is served at once, or in its turn."""
        if self.active is None and self.writable and not self._waiting:
            self.active = exchange
            self.deadline = 0.0
            self._front.serve(exchange)
        else:
            self._waiting.append(exchange)
            self.regulate()

    def ask_for_body(self) -> None:
        """Send ``100 Continue``: the body is wanted now."""
        self._parser.continue_owed = False
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
        elif self.writable and self._parser.exchange is None:
            self.deadline = now + self._front.idle_timeout
        else:
            if self._parser.continue_owed:
                self.ask_for_body()
            self._wait_for_client(now)

    def _next(self) -> None:
        """Serve the next of the pipelined requests."""
        if self.lost or self.active is not None or not self._waiting or not self.writable:
            return
        exchange = self._waiting.popleft()
        self.regulate()
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
        exchange = self._parser.give_up() or Exchange(self, self._front.now(), {})
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
            self._part()

    def _part(self) -> None:
        """Close the transport. With TLS it waits for the client's own goodbye: not for long."""
        self.transport.close()
        if self._front.speaks_tls and not self.health_only:
            self._front.later(_GOODBYE, self._cut_when_taken)

    def _cut_when_taken(self) -> None:
        """End without the goodbye of a client that has all it was sent."""
        if self.lost:
            return
        if self._not_taken():
            self._front.later(_GOODBYE, self._cut_when_taken)
        else:
            self.transport.abort()

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
            and self._parser.exchange is None
            and not self._waiting
            and not self.transport.get_write_buffer_size()
        )

    @property
    def silent_since(self) -> float:
        """When the client was last heard of, if it is its turn; infinity while it is ours."""
        if self._waiting or self.active is not None or self.transport.get_write_buffer_size():
            return math.inf
        settings = self._front.settings
        if self._parser.exchange is None:  # since its last answer, or since it came
            return max(self._since, self.deadline - self._front.idle_timeout)
        limit = settings.body_timeout if self._parser.headers_done else settings.header_timeout
        return self.deadline - limit

    def expire(self) -> None:
        """The connection's time limit has passed; what that means depends on where it is."""
        if not self.writable:
            self._give_up_reader()
        elif self.refused:
            self.transport.abort()
        elif self.closing or self._parser.exchange is None:
            self._part()
        elif self._waiting:  # it is not the client that is slow: nothing is read from it now
            self._wait_for_client(self._front.now())
        else:
            self._front.client_too_slow(self, headers=not self._parser.headers_done)

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
