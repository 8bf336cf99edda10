"""Responses as values, and what they look like on the wire.

A :class:`Response` says what a client is to be told. A :class:`Renderer` makes bytes of it and
changes nothing: neither the response nor the exchange. The commonest response, a scored request,
is made from a prefix that is renewed once a second and one format operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote

from scorehost.front.http.exchange import Exchange

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_EXPOSED: Final = (
    b"x-request-id, x-ms-client-request-id, x-ms-request-id, traceid, x-ms-server-version, "
    b"x-ms-run-function-failed, x-ms-run-fn-exec-ms, retry-after"
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


class Response(NamedTuple):
    """What a client is told.

    Parameters
    ----------
    status : HTTP status.
    body : the whole body; empty for a stream, whose body is made while it is sent.
    content_type : value of Content-Type; "" for none.
    headers : name and value pairs besides those that every response has.
    run_ns : nanoseconds in ``run()``; -1 when it did not return.
    failed : value of ``x-ms-run-function-failed``.
    """

    status: int = 200
    body: bytes | memoryview = b""
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()
    run_ns: int = -1
    failed: bool = False

    @property
    def may_have_body(self) -> bool:
        """Whether a response of this status has a body (RFC 9110, 6.4.1)."""
        return self.status >= 200 and self.status not in (204, 304)


class Renderer:
    """Makes bytes of responses.

    Parameters
    ----------
    cors_origins : origins whose pages may read responses; ``*`` for all; none to say nothing.
    version : value of ``x-ms-server-version``; "" leaves the header out.
    """

    def __init__(self, cors_origins: Iterable[str], version: str) -> None:
        # Browsers send origins in lower case, without the slash that people copy along.
        self._origins = frozenset(origin.rstrip("/").lower() for origin in cors_origins)
        self._any_origin = "*" in self._origins
        self._version = version.encode()
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

    # -- whole responses ----------------------------------------------------------------------

    def scored(self, exchange: Exchange, run_ns: int, body: bytes) -> bytes:
        """Render a result of ``run()`` for a usual exchange: JSON, with status 200."""
        if not exchange.keep_alive or self._origins:
            return self.render(exchange, Response(200, body, run_ns=run_ns))
        return _SCORED % (
            self._ok, exchange.request_id, exchange.legacy_id, run_ns / 1e6, len(body), body,
        )  # fmt: skip

    def render(self, exchange: Exchange, response: Response) -> bytes:
        """Render a response with its body, as far as the request lets it have one."""
        head = self.head(exchange, response)
        return head + response.body if sent_bytes(exchange, response) else head

    def head(self, exchange: Exchange, response: Response) -> bytes:
        """Render the head of a response whose body is known."""
        lines = self._head(exchange, response)
        if response.may_have_body:
            lines.append(b"Content-Length: %d" % len(response.body))
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    # -- streams ------------------------------------------------------------------------------

    def stream_head(self, exchange: Exchange, response: Response) -> bytes:
        """Render the head of a response whose body is made while it is sent.

        ``X-Accel-Buffering: no`` keeps nginx and the ingresses made of it from collecting it.
        """
        lines = self._head(exchange, response)
        lines.append(b"X-Accel-Buffering: no")
        if not exchange.http10:
            lines.append(b"Transfer-Encoding: chunked")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    @staticmethod
    def chunk(exchange: Exchange, data: bytes) -> bytes:
        """Render one piece of a streamed body."""
        if exchange.head_only or not data:
            return b""
        return data if exchange.http10 else b"%x\r\n%b\r\n" % (len(data), data)

    @staticmethod
    def last_chunk(exchange: Exchange) -> bytes:
        """Render the end of a streamed body."""
        return b"" if exchange.http10 or exchange.head_only else b"0\r\n\r\n"

    # -- preflights ---------------------------------------------------------------------------

    def is_preflight(self, exchange: Exchange) -> bool:
        """Return whether this is a browser's CORS preflight, and CORS is set up."""
        return (
            exchange.method == b"OPTIONS"
            and bool(self._origins)
            and b"origin" in exchange.known
            and b"access-control-request-method" in exchange.known
        )

    def preflight(self, exchange: Exchange) -> Response:
        """Return the response to a preflight, by the Fetch standard's CORS protocol."""
        headers: Sequence[tuple[str, str]] = ()
        if self._allowed_origin(exchange):
            wanted = exchange.known.get(b"access-control-request-headers", b"")
            headers = (
                ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
                ("Access-Control-Allow-Headers", wanted.decode("latin-1") or "*"),
                ("Access-Control-Max-Age", str(_PREFLIGHT_AGE)),
            )
        return Response(200, b"", TEXT, headers)

    def _allowed_origin(self, exchange: Exchange) -> bytes:
        origin = exchange.known.get(b"origin", b"")
        if not origin:
            return b""
        if self._any_origin:
            return b"*"
        return origin if origin.decode("latin-1").lower() in self._origins else b""

    # -- heads --------------------------------------------------------------------------------

    def _head(self, exchange: Exchange, response: Response) -> list[bytes]:
        status, headers = response.status, response.headers
        lines = [
            b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, "").encode()),
            b"Date: " + self.date,
        ]
        if response.content_type:
            lines.append(b"Content-Type: " + _header_value(response.content_type))
        lines += self._id_lines(exchange)
        if self._version:
            lines.append(b"x-ms-server-version: " + self._version)
        lines.append(b"x-ms-run-function-failed: True" if response.failed else _NOT_FAILED)
        if response.run_ns >= 0:
            lines.append(b"x-ms-run-fn-exec-ms: %.3f" % (response.run_ns / 1e6))
        if self._origins:  # browsers refuse a second Access-Control-Allow-Origin of the script's
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
        ids = (
            (b"x-request-id", exchange.request_id),
            (b"x-ms-request-id", exchange.legacy_id),
            (b"x-ms-client-request-id", exchange.client_id),
            (b"TraceId", exchange.trace_id),
        )
        return [b"%b: %b" % (name, value) for name, value in ids if value]

    def _cors_lines(self, exchange: Exchange) -> Sequence[bytes]:
        allowed = self._allowed_origin(exchange)
        vary = () if self._any_origin else (b"Vary: Origin",)
        if not allowed:
            return vary
        return (
            b"Access-Control-Allow-Origin: " + allowed,
            b"Access-Control-Expose-Headers: " + _EXPOSED,
            *vary,
        )


def sent_bytes(exchange: Exchange, response: Response) -> int:
    """Return how many bytes of the body go out: none for HEAD or a status that has none."""
    if exchange.head_only or not response.may_have_body:
        return 0
    return len(response.body)


def own_lines(headers: Iterable[tuple[str, str]], ours: Iterable[bytes]) -> list[bytes]:
    """Return a script's own headers, without those that the server writes itself."""
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
