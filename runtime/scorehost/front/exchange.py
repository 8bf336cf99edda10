"""One request and its answer, as the front knows them.

An :class:`Exchange` is made when a request's headers are complete and lives until its last
byte is sent. It carries no behaviour but what follows from its own fields.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from scorehost.errors import RequestError
    from scorehost.front.connection import Connection

ARRIVING: Final = 0
WAITING: Final = 1
WRITTEN: Final = 2
DONE: Final = 3


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
    arrived, queued, begun : seconds on the monotonic clock.
    state : ARRIVING, WAITING in the queue, WRITTEN to a worker, or DONE.
    error : why it cannot be served, found before it was complete.
    run_ns : nanoseconds in ``run()``, -1 unless it returned.
    """

    __slots__ = (
        "arrived",
        "begun",
        "body",
        "body_file",
        "client_id",
        "connection",
        "error",
        "head_only",
        "headers",
        "held",
        "http10",
        "keep_alive",
        "known",
        "legacy_id",
        "method",
        "number",
        "path",
        "queued",
        "reason",
        "request_id",
        "route",
        "run_ns",
        "sent",
        "size",
        "state",
        "status",
        "streaming",
        "target",
        "trace_id",
    )

    def __init__(self, connection: Connection, arrived: float) -> None:
        self.connection = connection
        self.arrived = arrived
        self.queued = self.begun = 0.0
        self.method = self.target = self.path = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.known: dict[bytes, bytes] = {}
        self.body = b""
        self.body_file = -1
        self.size = self.held = 0
        self.request_id = self.client_id = self.legacy_id = self.trace_id = b""
        self.keep_alive = True
        self.http10 = self.head_only = self.streaming = False
        self.number = 0
        self.route = "other"
        self.state = ARRIVING
        self.status = 0
        self.run_ns = -1
        self.sent = 0
        self.reason = ""
        self.error: RequestError | None = None

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self.connection.lost

    def text_headers(self) -> list[tuple[str, str]]:
        """The headers as text; HTTP's bytes are latin-1 (RFC 9110, 5.5)."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]

    def release(self) -> None:
        """Let go of the body."""
        self.body = b""
        if self.body_file >= 0:
            os.close(self.body_file)
            self.body_file = -1

    def describe(self) -> dict[str, Any]:
        """What the log needs to know of it."""
        return {
            "method": self.method.decode("latin-1"),
            "path": self.path.decode("latin-1", "replace"),
            "status": self.status,
            "run_ms": round(self.run_ns / 1e6, 3) if self.run_ns >= 0 else None,
            "bytes_in": self.size,
            "bytes_out": self.sent,
            "request_id": self.request_id.decode("latin-1"),
        }
