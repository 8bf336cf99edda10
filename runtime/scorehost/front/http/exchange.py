"""One request and its answer, as the front knows them.

An :class:`Exchange` is made when a request's headers are complete and lives until its last
byte is sent. It carries no behaviour but what follows from its own fields.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from scorehost.front.http.routes import NOWHERE, Route

if TYPE_CHECKING:
    from scorehost.errors import RequestError

ARRIVING, WAITING, WRITTEN, DONE = range(4)


FIELD_OVERHEAD: Final = 32
"""Bytes that a header counts for besides its name and value, as in HTTP/2 (RFC 9113, 6.5.2): a
list of very many tiny headers takes far more memory than its text."""


class Client(Protocol):
    """Where an answer goes: a connection, or whatever stands in for one.

    Attributes
    ----------
    address : the peer's. lost : it is gone. writable : it takes its answers as fast as they come.
    health_only : it came in on the health port, which answers probes only.
    on_drain : called soon after it is writable again, if it still is.
    """

    address: str
    lost: bool
    writable: bool
    health_only: bool
    on_drain: Callable[[], None] | None

    def write(self, data: bytes | memoryview) -> None: ...
    def write_large(self, body: memoryview, done: Callable[[], None], start: int = 0) -> None:
        """Send a large body at the client's pace, then call ``done``."""

    def finished(self, exchange: Exchange, now: float) -> None:
        """Go on: the last byte of an answer has been handed over."""

    def reset(self) -> None:
        """Cut off so that what was sent is not taken for complete."""


class Exchange:
    """One request and its answer.

    Attributes
    ----------
    target : path and query as sent. path : the path alone.
    headers : name and value pairs as sent, bytes.
    known : the headers the front itself reads, by lower-case name.
    body : the body, when it is not in ``body_file``.
    body_file : descriptor of a memory file with the body, or -1.
    size : bytes of the body. held : bytes counted against the byte limit.
    request_id, client_id, legacy_id, trace_id : the ids, as they go out; b"" when absent.
    logged_id : the request's id as it stands in a line of the log, where that differs.
    route : the row of the route table that its path leads to.
    arrived, queued, begun, ended : seconds on the monotonic clock.
    timed_from : when its deadline began to count; later than ``begun`` after a pause in a debugger.
    expired : its deadline has passed while a worker was in it.
    state : ARRIVING, WAITING in the queue, WRITTEN to a worker, or DONE.
    usual : no id, method or version of the request changes the form of its answer.
    error : why it cannot be served, found before it was complete.
    run_ns : nanoseconds in ``run()``, -1 unless it returned.
    """

    # Most requests change few of these; the rest is read from the class.
    method = target = path = body = b""
    request_id = client_id = legacy_id = trace_id = logged_id = b""
    headers: Sequence[tuple[bytes, bytes]] = ()
    body_file = -1
    size = held = sent = number = status = 0
    begun = timed_from = queued = ended = 0.0
    keep_alive = True
    head_only = http10 = streaming = usual = expired = False
    route: Route = NOWHERE
    reason = ""
    state = ARRIVING
    run_ns = -1
    error: RequestError | None = None

    def __init__(self, connection: Client, arrived: float, known: dict[bytes, bytes]) -> None:
        self.connection = connection
        self.arrived = arrived
        self.known = known

    @property
    def gone(self) -> bool:
        return self.connection.lost

    def head_size(self) -> int:
        """The bytes of the headers, as the limit on them counts."""
        return sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in self.headers)

    def text_headers(self) -> list[tuple[str, str]]:
        """The headers as text; HTTP's bytes are latin-1 (RFC 9110, 5.5)."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]

    def release(self) -> None:
        self.body = b""
        if self.body_file >= 0:
            os.close(self.body_file)
            self.body_file = -1

    def describe(self) -> dict[str, Any]:
        """Return how logs describe this exchange."""
        return {
            "method": self.method.decode("latin-1"),
            "path": self.path.decode("latin-1", "replace"),
            "status": self.status,
            "run_ms": round(self.run_ns / 1e6, 3) if self.run_ns >= 0 else None,
            "bytes_in": self.size,
            "bytes_out": self.sent,
            "request_id": self.request_id.decode("latin-1"),
        }
