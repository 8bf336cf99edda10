"""What clients see: every answer the server sends is built here, and only here.

The bytes of the commonest answer, a scored request, come from a prefix that is made once a
second and one format operation; everything else goes through :meth:`Answers.complete`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import orjson

from scorehost.errors import DeadlineExceeded, MethodNotAllowed, RequestError, WorkerLost
from scorehost.front.http.exchange import Exchange
from scorehost.settings import Settings

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_EXPOSED: Final = (
    "x-request-id, x-ms-client-request-id, x-ms-request-id, traceid, x-ms-server-version, "
    "x-ms-run-function-failed, x-ms-run-fn-exec-ms, retry-after"
)
_SCORED: Final = (
    b"%b%b\r\nx-ms-request-id: %b\r\nx-ms-run-fn-exec-ms: %.3f\r\nContent-Length: %d\r\n\r\n%b"
)
_NOT_FAILED: Final = b"x-ms-run-function-failed: False"
_PREFLIGHT_AGE: Final = 86_400
"""Seconds a browser may remember a preflight; browsers cap it themselves (at most a day)."""
_OURS: Final = frozenset({
    "content-length", "transfer-encoding", "connection", "date", "content-type", "keep-alive",
    "x-ms-run-function-failed", "x-ms-run-fn-exec-ms",
})  # fmt: skip
_OF_CORS: Final = frozenset({"access-control-allow-origin", "access-control-expose-headers"})


class Answers:
    """Builds answers as bytes.

    Parameters
    ----------
    settings : CORS origins and whether the version is sent.
    version : value of ``x-ms-server-version``.
    """

    def __init__(self, settings: Settings, version: str) -> None:
        # Browsers send origins in lower case, without the slash that people copy along.
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.cors_origins)
        self._any_origin = "*" in self._origins
        self._version = version.encode() if settings.server_version_header else b""
        self.date = b""
        self._ok = b""
        self.tick()

    def tick(self) -> None:
        """Renew the date; called once a second (RFC 9110, 6.6.1)."""
        self.date = formatdate(usegmt=True).encode()
        version = b"x-ms-server-version: %b\r\n" % self._version if self._version else b""
        self._ok = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %b\r\n%b"
            b"x-ms-run-function-failed: False\r\nx-request-id: " % (self.date, version)
        )

    # -- scored -------------------------------------------------------------------------------

    def scored(self, exchange: Exchange, run_ns: int, body: bytes) -> bytes:
        """A result of ``run()``, as JSON, with status 200."""
        if not exchange.usual or not exchange.keep_alive or self._origins:
            return self.complete(exchange, 200, body, JSON, run_ns=run_ns, failed=False)
        exchange.status = 200
        exchange.sent = len(body)
        return _SCORED % (
            self._ok,
            exchange.request_id,
            exchange.legacy_id,
            run_ns / 1e6,
            len(body),
            body,
        )

    def complete(
        self,
        exchange: Exchange,
        status: int,
        body: bytes,
        content_type: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        run_ns: int = -1,
        failed: bool = False,
    ) -> bytes:
        """Any answer whose body is known."""
        head = self.head_of(
            exchange, status, len(body), content_type, headers, run_ns=run_ns, failed=failed
        )
        return head + body if exchange.sent else head

    def head_of(
        self,
        exchange: Exchange,
        status: int,
        length: int,
        content_type: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        run_ns: int = -1,
        failed: bool = False,
    ) -> bytes:
        """The head alone; ``exchange.sent`` is how many bytes of a body go with it."""
        no_body = status in (204, 304) or status < 200
        lines = self._head(exchange, status, content_type, headers, run_ns, failed)
        if not no_body:
            lines.append(b"Content-Length: %d" % length)
        lines.append(b"\r\n")
        exchange.sent = 0 if exchange.head_only or no_body else length
        return b"\r\n".join(lines)

    def stream_head(
        self,
        exchange: Exchange,
        status: int,
        content_type: str,
        headers: Iterable[tuple[str, str]],
        *,
        run_ns: int,
        failed: bool,
    ) -> bytes:
        """The head of an answer whose body is made while it is sent.

        ``X-Accel-Buffering: no`` keeps nginx and the ingresses made of it from collecting it.
        """
        if exchange.http10:
            exchange.keep_alive = False  # the end of the connection is the end of the body
        lines = self._head(exchange, status, content_type, headers, run_ns, failed)
        lines.append(b"X-Accel-Buffering: no")
        if not exchange.http10:
            lines.append(b"Transfer-Encoding: chunked")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    @staticmethod
    def chunk(exchange: Exchange, data: bytes) -> bytes:
        """One piece of a streamed body."""
        if exchange.head_only or not data:
            return b""
        return data if exchange.http10 else b"%x\r\n%b\r\n" % (len(data), data)

    @staticmethod
    def last_chunk(exchange: Exchange) -> bytes:
        """The end of a streamed body."""
        return b"" if exchange.http10 or exchange.head_only else b"0\r\n\r\n"

    # -- errors -------------------------------------------------------------------------------

    def error(
        self, exchange: Exchange, error: RequestError, *, retry_after: float | None = None,
        body: dict[str, Any] | None = None, run_ns: int = -1,
    ) -> bytes:  # fmt: skip
        """An error as JSON: ``{"message": …}`` and whatever else explains it."""
        headers: list[tuple[str, str]] = []
        if retry_after is not None:
            headers.append(("Retry-After", str(max(1, math.ceil(retry_after)))))
        if isinstance(error, MethodNotAllowed):
            headers.append(("Allow", ", ".join(error.allowed)))
        document = orjson.dumps(body if body is not None else {"message": str(error)}, default=str)
        failed = isinstance(error, (DeadlineExceeded, WorkerLost))
        return self.complete(
            exchange, error.status, document, JSON, headers, run_ns=run_ns, failed=failed
        )

    # -- preflight ----------------------------------------------------------------------------

    def is_preflight(self, exchange: Exchange) -> bool:
        """Whether a browser asks for leave, and CORS is set up."""
        return (
            exchange.method == b"OPTIONS"
            and bool(self._origins)
            and b"origin" in exchange.known
            and b"access-control-request-method" in exchange.known
        )

    def preflight(self, exchange: Exchange) -> bytes:
        """Leave, or none, by the Fetch standard's CORS protocol."""
        headers = []
        if self._allowed_origin(exchange):
            wanted = exchange.known.get(b"access-control-request-headers", b"")
            headers = [
                ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
                ("Access-Control-Allow-Headers", wanted.decode("latin-1") or "*"),
                ("Access-Control-Max-Age", str(_PREFLIGHT_AGE)),
            ]
        return self.complete(exchange, 200, b"", TEXT, headers)

    def _allowed_origin(self, exchange: Exchange) -> bytes:
        origin = exchange.known.get(b"origin", b"")
        if not origin:
            return b""
        if self._any_origin:
            return b"*"
        return origin if origin.decode("latin-1").lower() in self._origins else b""

    # -- heads --------------------------------------------------------------------------------

    def _head(
        self,
        exchange: Exchange,
        status: int,
        content_type: str,
        headers: Iterable[tuple[str, str]],
        run_ns: int,
        failed: bool,
    ) -> list[bytes]:
        exchange.status = status
        lines = [
            b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, "").encode()),
            b"Date: " + self.date,
        ]
        if content_type:
            lines.append(b"Content-Type: " + _header_value(content_type))
        lines += self._id_lines(exchange)
        if self._version:
            lines.append(b"x-ms-server-version: " + self._version)
        lines.append(b"x-ms-run-function-failed: True" if failed else _NOT_FAILED)
        if run_ns >= 0:
            lines.append(b"x-ms-run-fn-exec-ms: %.3f" % (run_ns / 1e6))
        if self._origins:  # the server's word on it is the only one: browsers refuse two
            lines += self._cors_lines(exchange)
            headers = [each for each in headers if each[0].lower() not in _OF_CORS]
        lines += own_lines(headers, lines)
        if not exchange.keep_alive:
            lines.append(b"Connection: close")
        elif exchange.http10:
            lines.append(b"Connection: keep-alive")
        return lines

    @staticmethod
    def _id_lines(exchange: Exchange) -> list[bytes]:
        lines = []
        for name, value in (
            (b"x-request-id", exchange.request_id),
            (b"x-ms-request-id", exchange.legacy_id),
            (b"x-ms-client-request-id", exchange.client_id),
            (b"TraceId", exchange.trace_id),
        ):
            if value:
                lines.append(b"%b: %b" % (name, value))
        return lines

    def _cors_lines(self, exchange: Exchange) -> Sequence[bytes]:
        allowed = self._allowed_origin(exchange)
        vary = () if self._any_origin else (b"Vary: Origin",)
        if not allowed:
            return vary
        return (
            b"Access-Control-Allow-Origin: " + allowed,
            b"Access-Control-Expose-Headers: " + _EXPOSED.encode(),
            *vary,
        )


def own_lines(headers: Iterable[tuple[str, str]], ours: Iterable[bytes]) -> list[bytes]:
    """The headers a script set itself, less the connection's business and what we say anyway."""
    headers = [each for each in headers if each[0].lower() not in _OURS]
    if not headers:
        return []
    said = {line.partition(b":")[0].lower().decode("latin-1") for line in ours} - {"vary"}
    return [
        b"%b: %b" % (_header_name(name), _header_value(value))
        for name, value in headers
        if name.lower() not in said
    ]


def _header_name(name: str) -> bytes:
    return quote(name, safe="!#$%&'*+-.^_`|~").encode("ascii")


def _header_value(value: str) -> bytes:
    # A line break in a value would let a script's input write headers of its own.
    one_line = value.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    return one_line.encode("latin-1", "replace")
