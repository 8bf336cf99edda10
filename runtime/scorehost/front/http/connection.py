"""One client's connection: requests in, answers back in order, and the client's time limits.

HTTP/1.1 and 1.0, kept alive, pipelined. Requests on one connection are served one after the other.

Whatever a connection waits for has a name and a time limit:

=========  ======================================================  ===================
state      what is waited for                                      longest
=========  ======================================================  ===================
HANDSHAKE  the end of TLS's handshake                              header_timeout
NEW        the first byte of the first request                     header_timeout
IDLE       the first byte of another request                       idle_timeout
HEAD       the rest of a request's headers                         header_timeout
BODY       8 KiB more of its body, or all                          body_timeout
SERVED     the server's own response                               none
TELLING    the client to take 8 KiB more of a response, or all     body_timeout
LINGERING  a client that was refused in the middle of a request    two seconds
CLOSING    the same, of its last response                          body_timeout
=========  ======================================================  ===================
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
from typing import Final, cast

from scorehost.errors import RequestError, SlowClient
from scorehost.front.http.context import Context
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.parser import Parser
from scorehost.front.http.progress import LEAST
from scorehost.front.phase import DRAINING

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
_LARGE_READ: Final = 64 << 10
"""Bytes that come at once from clients that send much; after them it is others' turn."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_ENOUGH: Final = 16
"""Pipelined requests that may wait for their turn; what follows them is not parsed yet."""
_ENOUGH_BYTES: Final = 16 << 10
"""Bytes of their heads, counted as the limit on headers counts them, after which it is the same:
a head of very many tiny headers takes thirty times its bytes."""

HANDSHAKE, NEW, IDLE, HEAD, BODY, SERVED, TELLING, LINGERING, CLOSING = range(9)


_CLOSED_UNSEEN: Final = contextlib.suppress(RuntimeError, OSError)
"""A transport may have closed itself, as after a reset, before it says that it is closing and
before :meth:`Connection.connection_lost` is called. Whatever it is asked for then, it raises."""


class _Gone:
    """The transport of a connection that is lost."""

    @staticmethod
    def is_closing() -> bool:
        return True


_GONE: Final = _Gone()


class _NoParser:
    """The parser of a connection that is lost."""

    exchange = None
    unparsed = b""
    headers_done = True
    continue_owed = False

    @staticmethod
    def go_on() -> None: ...


_NO_PARSER: Final = _NoParser()


def _nothing() -> None: ...


class Connection(asyncio.Protocol):
    """One client's connection.

    Parameters
    ----------
    context : what it may use of the server.
    health_only : whether it came in on the health port.
    give_up_handshake : ends a TLS handshake that is under way.

    Attributes
    ----------
    active : the exchange that is being served.
    state : what is waited for; one of the states above.
    deadline : when that has taken too long (seconds, monotonic); 0 for never.
    fresh : it has not sent a whole request yet. lost : the client is gone.
    refused : nothing that it still sends is read.
    writable : it takes its responses as fast as they come.
    """

    __slots__ = (
        "_ahead", "_closing", "_context", "_heard", "_large", "_parser", "_progress", "_reading",
        "_resting", "_unsent", "_waiting", "active", "address", "deadline", "fresh",
        "give_up_handshake", "health_only", "lost", "on_drain", "refused", "state", "transport",
        "writable",
    )  # fmt: skip

    def __init__(self, context: Context, *, health_only: bool = False) -> None:
        self._context = context
        self.health_only = health_only
        self.give_up_handshake: Callable[[], object] = _nothing
        self._parser = Parser(context, self)
        self._waiting: deque[Exchange] = deque()
        self._unsent = self._progress = self._large = self._ahead = 0
        self._heard = 0.0
        self._reading = True
        self._closing = self._resting = False
        self.active: Exchange | None = None
        self.address = ""
        self._enter(HANDSHAKE, context.now())
        self.lost = self.refused = False
        self.fresh = True
        self.writable = True
        self.on_drain: Callable[[], None] | None = None
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)

    # -- states -------------------------------------------------------------------------------

    def _enter(self, state: int, since: float) -> None:
        """Wait for something from now on, for as long as its time limit says."""
        self.state = state
        self._progress = 0
        longest = self._longest(state)
        self.deadline = since + longest if longest else 0.0

    def _longest(self, state: int) -> float:
        """Seconds that a state may take; 0 without a limit."""
        limits = self._context.limits
        if state == IDLE:
            return limits.idle_timeout
        if state in (HANDSHAKE, NEW, HEAD):
            return limits.header_timeout
        if state in (BODY, TELLING, CLOSING):
            return limits.body_timeout
        return _LINGER if state == LINGERING else 0.0

    def _wait_for_client(self, now: float) -> None:
        if not self.writable:
            self._unsent = self.untaken()
            self._enter(TELLING, now)
        elif self._parser.exchange is None:
            self._enter(IDLE, now)
        else:
            self._enter(BODY if self._parser.headers_done else HEAD, now)

    def expire(self) -> None:
        """End what has taken too long, as its state requires."""
        state = self.state
        if state in (TELLING, CLOSING):
            self._give_up_reader()
        elif state in (HANDSHAKE, LINGERING):
            self.drop()
        elif state in (NEW, IDLE):
            self._part()
        elif self._waiting:  # it is not the client that is slow: nothing is read from it now
            self._wait_for_client(self._context.now())
        else:
            self._refuse_slow_client()

    def _refuse_slow_client(self) -> None:
        part = "headers" if self.state == HEAD else "body"
        setting = "SCOREHOST_HEADER_TIMEOUT" if self.state == HEAD else "SCOREHOST_BODY_TIMEOUT"
        within = f"within {self._longest(self.state):g} s ({setting})"
        if self.state == BODY:
            within = f"at a pace of {LEAST} bytes {within}"
        self.refuse_unread(SlowClient(f"The {part} of the request did not arrive {within}."))

    @property
    def silent_since(self) -> float:
        """When the client was last heard of; infinity while it waits for the server."""
        ours = self.state in (SERVED, TELLING, CLOSING) or bool(self._waiting)
        if ours or (self.state != HANDSHAKE and self.transport.get_write_buffer_size()):
            return math.inf
        return self.deadline - self._longest(self.state)

    @property
    def heard_from(self) -> float:
        """When anything was last heard of the client, if only a byte of a body."""
        return max(self.silent_since, self._heard)

    # -- the transport's calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the time limit of the first request's headers began with the connection."""
        self.transport = cast("asyncio.Transport", transport)
        if self.refused:  # it was dropped before this
            self.drop()
            return
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self.state = NEW  # within the time limit that has begun with the connection
        if not self._context.connections.opened(self):
            self.drop()

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; complete requests are served at once or in their turn."""
        if self.refused:
            return
        if self.state == BODY:
            self._heard = self._context.now()
            self._progress += len(data)
            if self._progress >= LEAST:
                self._enter(BODY, self._context.now())
                self._context.connections.goes_on(self)
        self._parser.take(data)
        if len(data) >= _LARGE_READ and not self.refused:
            self._resting = True  # or the loop would read much more before it looks at others
            self.regulate()
            self._context.turns.add(self._read_on)

    def _read_on(self) -> None:
        self._resting = False
        if not self.lost:
            self.regulate()

    def regulate(self) -> None:
        """Read only while nothing that was read still waits; of a refused client, everything."""
        waits = self._waiting or self._parser.unparsed or self._resting
        wanted = self.refused or not waits
        if wanted != self._reading and not self.transport.is_closing():
            self._reading = wanted
            with _CLOSED_UNSEEN:
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
        if exchange is None or self._context.service.give_up_waiting(exchange):
            return False
        exchange.keep_alive = bool(self._waiting)
        return not self._context.speaks_tls

    def connection_lost(self, _error: Exception | None) -> None:
        """Let go of every request of this connection; a second call does nothing."""
        if self.lost:
            return
        self.lost = self.refused = True  # nothing that may still come is read
        # All of them first: whichever ends leaves the connection without an active one.
        left = [self.active, *self._waiting, self._parser.give_up()]
        self._waiting.clear()
        for exchange in left:
            if exchange is not None:
                self._context.service.abandon(exchange)
        self.on_drain = None  # it may hold a large response, and this connection
        self._context.budget.settled(self)
        self._context.untaken.release(self)
        self._context.connections.closed(self)
        # What knows each other stays until a garbage collection, which takes tens of milliseconds
        # when thousands of connections have come and gone. And a transport may hold half a
        # megabyte, with TLS.
        self._parser.end()
        self._parser = cast("Parser", _NO_PARSER)
        self.transport = cast("asyncio.Transport", _GONE)
        self.give_up_handshake = _nothing

    def pause_writing(self) -> None:
        """Begin nothing more for a client that takes its response slowly, until it has it."""
        self.writable = False
        self._wait_for_client(self._context.now())
        if not self._large:
            self._context.untaken.hold(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self.writable = True
        now = self._context.now()
        if not self._large:
            self._context.untaken.release(self)
        if self.active is not None:
            self._enter(SERVED, now)
        elif self._closing:
            self._unsent = sys.maxsize
            self._hold_rest()
            self._enter(LINGERING if self.refused else CLOSING, now)
        else:
            self._wait_for_client(now)
            self._context.soon(self._next)
        if self.on_drain is not None:
            # Not now: a write that fails during this call makes asyncio's transport close twice.
            self._context.soon(self._drained)

    def _drained(self) -> None:
        if self.on_drain is not None and self.writable:
            self.on_drain()

    # -- requests -----------------------------------------------------------------------------

    @property
    def has_enough(self) -> bool:
        """Whether so many requests wait for their turn that no more should be parsed."""
        return len(self._waiting) >= _ENOUGH or self._ahead >= _ENOUGH_BYTES

    def arrived(self, exchange: Exchange) -> None:
        """Serve a whole request at once, or in its turn; after the last answer, not at all."""
        if self._closing:  # RFC 9112, 9.6
            self._context.budget.release(exchange)
            return
        if self.fresh:
            self.fresh = False
            self._context.connections.has_arrived(self)
        if self.active is None and self.writable and not self._waiting:
            self.active = exchange
            self.state = SERVED
            self.deadline = 0.0
            self._context.service.serve(exchange)
        else:
            self._waiting.append(exchange)
            self._ahead += exchange.head_size()
            if exchange.held:
                self._context.budget.waits(self, exchange.size)
            self.regulate()

    @property
    def has_waiting(self) -> bool:
        """Whether whole requests wait here for their turn."""
        return bool(self._waiting)

    def head_begins(self, now: float) -> None:
        """Note that the head of a request has begun to arrive."""
        if self.state == NEW:
            self.state = HEAD  # within the same time limit
        elif self.active is None:
            self._enter(HEAD, now)

    def body_begins(self, since: float) -> None:
        """Note that a head is complete; the time limit of its body counts from ``since``."""
        if self.active is None:
            self._enter(BODY, since)
        if self.fresh:
            self._context.connections.goes_on(self)

    def ask_for_body(self) -> None:
        """Send ``100 Continue``: the body is wanted now."""
        self._parser.continue_owed = False
        self.write(_CONTINUE)

    # -- answers ------------------------------------------------------------------------------

    def finished(self, exchange: Exchange, now: float) -> None:
        """Go on after the active exchange's last byte has been handed to the transport."""
        self.active = None
        if self.lost:
            return
        if not self.writable:  # more may have been written since the transport called a halt
            self._context.untaken.grow(self, self.transport.get_write_buffer_size())
        if not exchange.keep_alive:
            self.close()
        elif self._waiting:
            self._context.soon(self._next)
        elif self.writable and self._parser.exchange is None:
            self.state = IDLE
            self.deadline = now + self._context.limits.idle_timeout
        else:
            if self._parser.continue_owed:
                self.ask_for_body()
            self._wait_for_client(now)

    def _next(self) -> None:
        """Serve the next of the pipelined requests."""
        if self.lost or self.active is not None or not self._waiting or not self.writable:
            return
        exchange = self._waiting.popleft()
        if not self._waiting:
            self._ahead = 0
            self._context.budget.settled(self)
            arriving = self._parser.exchange
            if arriving is not None and arriving.held:
                self._context.budget.waits(self, arriving.size)
            self._parser.go_on()
        self.regulate()
        if self._context.phase.now >= DRAINING and not self._waiting:
            exchange.keep_alive = False
        self.active = exchange
        self._enter(SERVED, 0.0)
        self._context.service.serve(exchange)

    def refuse_unread(self, error: RequestError) -> None:
        """Answer a request that is not read any further, and close."""
        if self.refused:
            return
        self.refused = True
        exchange = self._parser.give_up() or Exchange(self, self._context.now(), {})
        if not exchange.request_id:
            exchange.request_id = exchange.legacy_id = self._context.make_id()
        exchange.keep_alive = False
        error.__traceback__ = None  # its frames know the exchange, which would know them
        exchange.error = error
        if self.active is None and not self._waiting:
            self.active = exchange
            self._enter(SERVED, 0.0)
            self._context.service.serve(exchange)
        else:
            self._waiting.append(exchange)  # what came before is answered first
        self.regulate()

    def give_way(self, error: RequestError) -> None:
        """Let go of the bodies that no worker has yet, and refuse their requests."""
        for exchange in self._waiting:
            if exchange.held:
                self._context.budget.release(exchange)
                exchange.error = error
        if self._parser.exchange is not None and self._parser.exchange.held:
            self.refuse_unread(error)

    def close(self) -> None:
        """Close once everything written has left; a refused client may finish sending.

        A second call ends its time for that.
        """
        if self.state == HANDSHAKE:
            self.drop()
            return
        if self._closing:
            if self.refused:
                self.transport.close()
            return
        self._closing = True
        if self.refused and self.transport.can_write_eof():
            with _CLOSED_UNSEEN:
                self.transport.write_eof()
            self._enter(LINGERING, self._context.now())
        else:
            self._part()

    def _part(self) -> None:
        """Close the transport; with TLS, wait only briefly for the client's close_notify."""
        if self.state != TELLING:
            self._unsent = sys.maxsize  # until it is looked at for the first time
            self._hold_rest()
            self._enter(CLOSING, self._context.now())
        self.transport.close()
        if self._context.speaks_tls and not self.health_only:
            self._context.later(_GOODBYE, self._cut_when_taken)

    def _hold_rest(self) -> None:
        """Count what the client has not taken of its last answer: it may have to make room."""
        left = self.transport.get_write_buffer_size()
        if left:
            self._context.untaken.hold(self, left)

    def _cut_when_taken(self) -> None:
        """Close without the close_notify of a client that has all it was sent."""
        if self.lost:
            return
        if self.untaken():
            self._context.later(_GOODBYE, self._cut_when_taken)
        else:
            self.transport.abort()

    def write_large(self, body: memoryview, done: Callable[[], None], start: int = 0) -> None:
        """Write a body in pieces, each when the one before has been taken; then call back."""
        if self.lost:
            return
        self.on_drain = None
        end = start + _PIECE
        if start == 0:
            self._context.untaken.hold(self, len(body))
        self._large = max(0, len(body) - end)
        self.write(body[start:end])
        if end >= len(body):
            self._end_large(done)
        elif self.writable:
            self._context.soon(self.write_large, body, done, end)
        else:
            self.on_drain = partial(self.write_large, body, done, end)

    def _end_large(self, done: Callable[[], None]) -> None:
        """Go on after a large body's last piece; of the body, only that may be held now."""
        self._context.untaken.release(self)
        if not self.writable:
            self._context.untaken.hold(self, self.transport.get_write_buffer_size())
        done()

    def write(self, data: bytes | memoryview) -> None:
        """Hand bytes to the transport, unless the client has just left."""
        if not self.transport.is_closing():
            try:  # not a with statement: this is the path of every answer
                self.transport.write(data)
            except (RuntimeError, OSError):  # see _CLOSED_UNSEEN
                return

    def last_response_closes(self) -> None:
        """Close after what has been received is answered, if its head can still say so."""
        last = self._waiting[-1] if self._waiting else self.active
        if self._parser.exchange is not None and self._parser.headers_done:
            last = self._parser.exchange  # its body is still arriving
        if last is not None and not last.streaming:
            last.keep_alive = False

    def reset(self) -> None:
        """Cut off so that no client takes what it has for complete, not even with HTTP/1.0."""
        if self.lost:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._closing = True
        self._context.connections.closed(self)  # its place is free at once
        self.transport.abort()

    @property
    def idle(self) -> bool:
        """Whether nothing is being received or answered, and the last answer has left."""
        if self.state == HANDSHAKE:
            return True
        return (
            self.active is None
            and self._parser.exchange is None
            and not self._waiting
            and not self.transport.get_write_buffer_size()
        )

    @property
    def droppable(self) -> bool:
        """Whether it may be closed for another: no answer is being made or taken."""
        return self.state in (IDLE, HEAD, BODY, LINGERING) and not self._waiting

    def drop(self) -> None:
        """End it at once."""
        self._closing = self.refused = True
        if self.transport is None:
            self.give_up_handshake()
        else:
            self.transport.abort()

    def end(self) -> None:
        """End what is left at the end of the server; no client must take a part for a whole."""
        if self.active is not None and self.active.streaming:
            self.reset()
        else:
            self.close()

    def cut(self) -> None:
        """Cut off a client that has not taken all of its answer when the server ends."""
        if self.state != HANDSHAKE and self.transport.get_write_buffer_size():
            self.reset()

    def _give_up_reader(self) -> None:
        """Cut off a client that takes next to nothing; wait for one that is only slow."""
        left = self.untaken()
        if left <= self._unsent - LEAST:
            self._unsent = left
            self._enter(self.state, self._context.now())
        else:
            self.reset()

    def untaken(self) -> int:
        """Return the bytes that the client has not acknowledged, here and in the kernel.

        The kernel takes megabytes for a slow client at once and then nothing for a long while.
        """
        sock = self.transport.get_extra_info("socket")
        kept = bytearray(4)
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it is closed already
            fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, kept)
        kernel = int.from_bytes(kept, sys.byteorder)
        return self._large + self.transport.get_write_buffer_size() + kernel
