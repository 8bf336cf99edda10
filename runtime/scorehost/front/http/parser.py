"""Bytes become requests: one connection's parser, and the limits on what may come.

Parsing is llhttp's, through httptools, in its strict mode. Two things go past it: a request whose
head it has parsed before, byte for byte (``head_cache.py``), and a large body whose length is
known, which it would only copy.
"""

from __future__ import annotations

from typing import Final, Protocol

import httptools

from scorehost.errors import (
    BodyTooLarge,
    HeadersTooLarge,
    MalformedRequest,
    RequestError,
    UnknownTransferCoding,
)
from scorehost.front.http.body import Body
from scorehost.front.http.context import Context
from scorehost.front.http.exchange import Client, Exchange
from scorehost.front.http.head_cache import HEAD_END, LONGEST_HEAD
from scorehost.front.http.ids import identify
from scorehost.front.phase import DRAINING
from scorehost.wire.requests import MEMORY_FILE_FROM

_KNOWN: Final = frozenset({
    b"x-request-id", b"x-ms-client-request-id", b"x-ms-request-id", b"traceid",
    b"content-type", b"content-length", b"expect", b"origin", b"accept",
    b"access-control-request-method", b"access-control-request-headers", b"transfer-encoding",
    b"host",
})  # fmt: skip
_CHUNKS_FOLLOW: Final = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_TURN: Final = 16 << 10
"""Bytes of a chunked body that are parsed at once: in the smallest chunks, a few milliseconds."""


class Sender(Client, Protocol):
    """What the parser asks of the :class:`~scorehost.front.http.connection.Connection`."""

    active: Exchange | None
    refused: bool

    def arrived(self, exchange: Exchange) -> None: ...
    def refuse_unread(self, error: RequestError) -> None: ...
    def ask_for_body(self) -> None: ...
    def head_begins(self, now: float) -> None: ...
    def body_begins(self, since: float) -> None: ...
    def regulate(self) -> None: ...


class Parser:
    """Turns what arrives on one connection into requests.

    Parameters
    ----------
    context : limits, heads and routes.
    client : is told of every whole request, and of what cannot become one.

    Attributes
    ----------
    exchange : the request that is arriving, if any. headers_done : only its body is missing.
    unparsed : bytes that are parsed at one of the loop's next turns.
    continue_owed : the client waits to be asked for the body.
    """

    __slots__ = (
        "_body", "_chunked", "_client", "_context", "_counted", "_header_bytes", "_headers",
        "_incomplete", "_most_incomplete", "_new_head", "_offered", "_parser",
        "continue_owed", "exchange", "headers_done", "unparsed",
    )  # fmt: skip

    def __init__(self, context: Context, client: Sender) -> None:
        self._context = context
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self.exchange: Exchange | None = None
        self.headers_done = True
        self.continue_owed = False
        self.unparsed = self._new_head = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_bytes = self._incomplete = self._counted = 0
        self._most_incomplete = 2 * context.limits.header_bytes
        self._chunked = self._offered = False
        self._body = Body()

    def take(self, data: bytes) -> None:
        if self.exchange is None and self.headers_done:
            data = self._take_known(data)
        if data:
            self._take_by_turns(data)

    def give_up(self) -> Exchange | None:
        """Forget the request that is arriving, and return it."""
        exchange, self.exchange = self.exchange, None
        self._counted = 0
        self._body.forget()
        return exchange

    def _take_known(self, data: bytes) -> bytes:
        """Take whole requests whose head has been parsed before; returns what is left.

        The parser is between two messages and never sees these bytes.
        """
        context = self._context
        budget = context.budget
        while True:
            end = data.find(HEAD_END, 0, LONGEST_HEAD) + 4
            if end < 4:
                return data
            text = data[:end]
            head = context.head_cache.find(text)
            if head is None:
                self._new_head = text
                return data
            length = head.length
            last = end + length
            if last > len(data) or context.phase.now >= DRAINING or not budget.has_room(length):
                return data
            exchange = head.begin(self._client, context.now())
            exchange.request_id = exchange.legacy_id = context.make_id()
            exchange.size = exchange.held = length
            exchange.body = data[end:last]
            budget.held += length
            self._client.arrived(exchange)
            if last == len(data) or self._client.refused:
                return b""
            data = data[last:]

    def _take_by_turns(self, data: bytes) -> None:
        """Parse, a chunked body by turns with whatever else the loop has to do."""
        client = self._client
        while data and not client.refused:
            if self._counted:
                data = self._take_counted(data)
                continue
            if self._chunked and len(data) > _TURN:
                self.unparsed = data[_TURN:]
                client.regulate()
                self._context.soon(self._take_rest)
                data = data[:_TURN]
            data = self._parse(data)

    def _take_rest(self) -> None:
        data, self.unparsed = self.unparsed, b""
        if not self._client.lost:
            self._take_by_turns(data)
            self._client.regulate()

    def _take_counted(self, data: bytes) -> bytes:
        """Bypass the parser with a large body of known length, as it would copy it.

        Returns what follows the body. A new parser gets that, as this one still expects the body.
        """
        exchange = self.exchange
        assert exchange is not None  # noqa: S101 - it is what is counted
        self.continue_owed = False
        missing = self._counted - exchange.size
        try:
            if len(data) < missing:
                self._body.add(exchange, data)
                return b""
            self._body.add(exchange, data if len(data) == missing else data[:missing])
            self._parser = httptools.HttpRequestParser(self)
            self.on_message_complete()
        except OSError as error:
            self._client.refuse_unread(self._context.budget.no_room(error))
        return data[missing:]

    def _parse(self, data: bytes) -> bytes:
        """Feed the parser; returns what follows an ignored offer to upgrade."""
        self._incomplete += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._ignore_offer()
            return data[offer.args[0] :]
        except httptools.HttpParserCallbackError as wrapped:
            error = wrapped.__context__
            if isinstance(error, OSError):  # of the body's memory file
                error = self._context.budget.no_room(error)
            if not isinstance(error, RequestError):
                raise
            self._client.refuse_unread(error)
        except httptools.HttpParserError as error:
            self._client.refuse_unread(MalformedRequest(f"This is not an HTTP request: {error}."))
        if self.exchange is not None and self._incomplete > self._most_incomplete:
            self._client.refuse_unread(self._headers_too_large())
        return b""

    def _ignore_offer(self) -> None:
        """Go on in HTTP/1.1, where the client offers h2c or the like (RFC 9110, 7.8).

        The parser takes what follows for another protocol. A new one begins: in the midst of the
        request if that has a body in chunks; one of a known length goes past it.
        """
        self._parser = httptools.HttpRequestParser(self)
        if self._chunked:
            self._parser.feed_data(_CHUNKS_FOLLOW)
        self._offered = False

    # -- the parser's calls -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._offered:
            return  # the body of a request that has begun before
        now = self._context.now()
        self.exchange = exchange = Exchange(self._client, now, {})
        exchange.headers = self._headers = []
        self.headers_done = self._chunked = self.continue_owed = False
        self._header_bytes = self._incomplete = 0
        self._client.head_begins(now)

    def on_url(self, url: bytes) -> None:
        if self._offered:
            return
        exchange = self.exchange
        assert exchange is not None  # noqa: S101 - llhttp calls on_message_begin first
        exchange.target += url
        self._header_bytes += len(url)
        if self._header_bytes > self._context.limits.header_bytes:
            raise self._headers_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header, or a trailer, of which only the size matters."""
        if self._offered:
            return
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._context.limits.header_bytes:
            raise self._headers_too_large()
        exchange = self.exchange
        if exchange is None or self.headers_done:
            return
        self._headers.append((name, value))
        lowered = name.lower()
        if lowered in _KNOWN:
            if lowered == b"host" and b"host" in exchange.known:
                raise MalformedRequest("The request has two Host headers.")
            exchange.known[lowered] = value

    def on_headers_complete(self) -> None:
        """Refuse what can be refused before the body is there."""
        if self._offered:
            return
        exchange = self.exchange
        assert exchange is not None  # noqa: S101
        self.headers_done = True
        self._incomplete = 0
        parser = self._parser
        exchange.method = parser.get_method()
        exchange.path = exchange.target.partition(b"?")[0]
        draining = self._context.phase.now >= DRAINING
        exchange.keep_alive = parser.should_keep_alive() and not draining
        if exchange.method == b"HEAD":
            exchange.head_only = True
        known = exchange.known
        version = parser.get_http_version()
        if version != "1.1":
            self._check_old_version(exchange, version)
        elif b"host" not in known:
            raise MalformedRequest("An HTTP/1.1 request needs a Host header (RFC 9112, 3.2).")
        identify(exchange, self._context.make_id)
        exchange.usual = not (
            exchange.client_id or exchange.trace_id or exchange.http10 or exchange.head_only
        )
        exchange.route, exchange.path = self._context.routes.find(exchange.path)
        if b"transfer-encoding" in known:
            self._chunked = True
            self._check_coding(known[b"transfer-encoding"])
        if b"content-length" in known:
            length = int(known[b"content-length"])
            self._expect_body(exchange, length)
            past_parser = length >= MEMORY_FILE_FROM or parser.should_upgrade()
            self._counted = length if past_parser and not self._chunked else 0
        self._offered = parser.should_upgrade() and bool(self._counted or self._chunked)
        if self._new_head:
            self._context.head_cache.remember(self._new_head, exchange)
            self._new_head = b""
        self._client.body_begins(exchange.arrived)
        if b"expect" in known:
            self._answer_expectation(exchange, known[b"expect"])

    def on_body(self, data: bytes) -> None:
        exchange = self.exchange
        assert exchange is not None  # noqa: S101
        self._incomplete = 0
        self.continue_owed = False
        size = exchange.size + len(data)
        if size > exchange.held:
            self._expect_body(exchange, size)
        self._body.add(exchange, data)

    def on_message_complete(self) -> None:
        if self._offered:
            return  # the parser takes the body for another protocol
        exchange, self.exchange = self.exchange, None
        assert exchange is not None  # noqa: S101
        self._chunked = False
        self._counted = 0
        self._body.end(exchange)
        self._client.arrived(exchange)

    # -- limits -------------------------------------------------------------------------------

    @staticmethod
    def _check_old_version(exchange: Exchange, version: str) -> None:
        if version != "1.0":
            raise MalformedRequest(f"HTTP/{version} is not supported; use HTTP/1.1 or 1.0.")
        exchange.http10 = True
        if b"transfer-encoding" in exchange.known:
            # Older proxies don't know the header and would see the body end elsewhere.
            raise MalformedRequest(
                "An HTTP/1.0 request must not have a Transfer-Encoding (RFC 9112, 6.1)."
            )

    @staticmethod
    def _check_coding(value: bytes) -> None:
        """Refuse a transfer coding applied before chunked; llhttp refuses one applied after it."""
        below, _, last = value.rpartition(b",")
        if below and last.strip().lower() == b"chunked":
            raise UnknownTransferCoding(
                f"The Transfer-Encoding is {value.decode('latin-1')!r}; only chunked is supported."
            )

    def _headers_too_large(self) -> HeadersTooLarge:
        limit = self._context.limits.header_bytes
        return HeadersTooLarge(
            f"The request line and headers exceed {limit} bytes "
            "(SCOREHOST_MAX_HEADER_BYTES). Send fewer or shorter headers."
        )

    def _expect_body(self, exchange: Exchange, size: int) -> None:
        limit = self._context.limits.body_bytes
        if size > limit:
            raise BodyTooLarge(
                f"The body has {size} bytes or more; at most {limit} are accepted "
                "(SCOREHOST_MAX_BODY_BYTES). Send less, or raise the limit."
            )
        self._context.budget.hold(exchange, size)

    def _answer_expectation(self, exchange: Exchange, value: bytes) -> None:
        if value.lower() == b"100-continue" and not exchange.http10:
            self.continue_owed = True
            if self._client.active is None:
                self._client.ask_for_body()
