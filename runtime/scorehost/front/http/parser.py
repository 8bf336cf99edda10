"""Bytes become requests: one connection's parser, and the limits on what may come.

Parsing is llhttp's, through httptools, in its strict mode. Two things go past it: a request whose
head it has parsed before, byte for byte (``head_cache.py``), and a large body whose length is
known, which it would only copy.

It is fed the head of a request by itself, then its body, and never what follows that in one piece
with it: a body in chunks ends in an empty line, and is fed from one to the next. So the bytes of a
head are at hand, for what llhttp accepts and does not tell of: the protocol that the request line
names, and what stands before it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final, Protocol, cast

import httptools

from scorehost.errors import (
    BodyTooLarge,
    HeadersTooLarge,
    MalformedRequest,
    Overloaded,
    RequestError,
    UnknownTransferCoding,
)
from scorehost.front.http.body import Body
from scorehost.front.http.context import Context
from scorehost.front.http.exchange import FIELD_OVERHEAD, Client, Exchange
from scorehost.front.http.head_cache import HEAD_END, LONGEST_HEAD
from scorehost.front.http.ids import identify
from scorehost.front.phase import DRAINING
from scorehost.wire.requests import MEMORY_FILE_FROM

_KNOWN: Final = frozenset({
    b"x-request-id", b"x-ms-client-request-id", b"x-ms-request-id", b"traceid",
    b"content-type", b"content-length", b"expect", b"origin", b"accept",
    b"access-control-request-method", b"access-control-request-headers", b"transfer-encoding",
    b"host", b"connection",
})  # fmt: skip
_LISTS: Final = frozenset({b"transfer-encoding", b"connection", b"expect"})
_CHUNKS_FOLLOW: Final = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_TURN: Final = 8 << 10
"""Bytes of heads, or of a chunked body, that are parsed at once; of the smallest chunks they take
some milliseconds. A longer head is parsed at once too, but not two of them."""
_VERSION: Final = re.compile(rb"\d\.\d[ \t]*")
"""What follows HTTP/ in a request line."""
_TLS_HELLO: Final = b"\x16\x03"
"""A handshake record, major version 3 (RFC 8446, 5.1)."""
_HOST: Final = re.compile(
    rb"(?:(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
    rb"|\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+)\])(?::\d*)?"
)
"""A host with or without a port (RFC 9110, 7.2; RFC 3986, 3.2.2)."""
_ABSOLUTE: Final = re.compile(rb"[\w.+-]+://(?:[^/?#]*@)?([^/?#]*)")
"""A target with a scheme, and the host in it."""
_CHUNK_LINES: Final = 20
"""Bytes round a chunk's data that are its size and line ends; more are extensions."""
_AT_ONCE: Final = 16
"""Requests that are taken in one turn; a probe or an error is answered then and there."""


class Sender(Client, Protocol):
    """What the parser asks of the :class:`~scorehost.front.http.connection.Connection`."""

    active: Exchange | None
    refused: bool

    @property
    def has_enough(self) -> bool:
        """Whether so many requests wait for their turn that no more should be parsed."""

    @property
    def has_waiting(self) -> bool:
        """Whether whole requests wait for their turn."""

    def arrived(self, exchange: Exchange) -> None: ...
    def refuse_unread(self, error: RequestError) -> None: ...
    def give_way(self, error: RequestError) -> None: ...
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
        "_body", "_chunked", "_client", "_context", "_counted", "_empty", "_extensions",
        "_has_turn", "_head", "_header_bytes", "_headers", "_left", "_new_head", "_offered",
        "_parser", "_tail", "continue_owed", "exchange", "headers_done", "unparsed",
    )  # fmt: skip

    def __init__(self, context: Context, client: Sender) -> None:
        self._context = context
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self.exchange: Exchange | None = None
        self.headers_done = True
        self.continue_owed = False
        self.unparsed = self._new_head = self._head = self._tail = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_bytes = self._extensions = self._counted = self._left = self._empty = 0
        self._chunked = self._offered = self._has_turn = False
        self._body = Body(partial(context.budget.memory_file, client))

    def take(self, data: bytes) -> None:
        if self.exchange is None and self.headers_done and not self._head:
            data = self._take_known(data)
        if data:
            self._take_by_turns(data)

    def go_on(self) -> None:
        """Parse what was left because enough requests were waiting."""
        if self.unparsed:
            self._context.soon(self._take_rest)

    def give_up(self) -> Exchange | None:
        """Forget the request that is arriving, and what there is of its body; return it."""
        exchange, self.exchange = self.exchange, None
        self._counted = 0
        self.unparsed = self._head = b""
        self._body.forget()
        if exchange is not None:
            if not exchange.method and exchange.target:
                exchange.method = self._parser.get_method()
                exchange.head_only = exchange.method == b"HEAD"
            self._settle()
            self._context.budget.release(exchange)
        return exchange

    def end(self) -> None:
        """Let go of llhttp's parser, which knows this one: nothing more arrives."""
        self._parser = cast("httptools.HttpRequestParser", None)

    def _take_known(self, data: bytes) -> bytes:
        """Take whole requests whose head has been parsed before; returns what is left.

        The parser is between two messages and never sees these bytes.
        """
        context = self._context
        budget = context.budget
        taken = 0
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
            taken += 1
            if taken == _AT_ONCE or self._client.has_enough:
                return data

    def _take_by_turns(self, data: bytes) -> None:
        """Parse, long pieces by turns with whatever else the loop has to do."""
        client, turns = self._client, self._context.turns
        heads, size = 0, len(data)
        others_first = size > _TURN and turns and not self._has_turn
        while data and not client.refused:
            if self.exchange is None or not self.headers_done:
                enough = others_first or heads == _AT_ONCE or size - len(data) >= _TURN
                if self.exchange is None and (enough or client.has_enough):
                    self.unparsed = data + self.unparsed
                    client.regulate()
                    if not client.has_enough:
                        turns.add(self._take_turn)
                    return
                heads += 1
                data = self._take_head(data)
            elif self._counted:
                data = self._take_counted(data)
            elif self._chunked:
                now = 0 if turns and not self._has_turn else _TURN
                if len(data) > now:
                    self.unparsed = data[now:] + self.unparsed
                    client.regulate()
                    turns.add(self._take_turn)
                data = self._take_chunks(data[:now]) if now else b""
            else:
                left = self._left - self.exchange.size
                data = self._parse(data[:left]) + data[left:]

    def _take_turn(self) -> None:
        self._has_turn = True
        self._take_rest()
        self._has_turn = False

    def _take_rest(self) -> None:
        data, self.unparsed = self.unparsed, b""
        if not self._client.lost:
            self.take(data)
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
                self._keep(exchange, data)
                return b""
            self._keep(exchange, data if len(data) == missing else data[:missing])
            self._parser = httptools.HttpRequestParser(self)
            self.on_message_complete()
        except Overloaded as error:
            self._client.refuse_unread(error)
        except OSError as error:
            self._client.refuse_unread(self._context.budget.no_room(error))
        return data[missing:]

    def _take_head(self, data: bytes) -> bytes:
        """Feed the parser with a head, or with what there is of it; returns what follows."""
        if self.exchange is None:
            data = self._pass_over_empty_lines(self._head + data)
            if not data:
                return b""
        before = len(self._head)
        text = self._head + data
        end = text.find(HEAD_END, max(0, before - 3)) + 4
        if end < 4:
            end = len(text)
        self._head = head = text[:end]
        rest = self._parse(head[before:]) + text[end:]
        if self.exchange is not None and not self.headers_done:
            if len(head) > self._context.limits.header_bytes:
                self._client.refuse_unread(self._headers_too_large())
            return rest
        self._head = b""
        return rest

    def _pass_over_empty_lines(self, data: bytes) -> bytes:
        """Return what follows the empty lines before a request (RFC 9112, 2.2)."""
        self._head = b""
        rest = data.lstrip(b"\r\n")
        passed = len(data) - len(rest)
        if not passed:
            return data
        bare = data[:passed].replace(b"\r\n", b"").replace(b"\n", b"")
        if bare == b"\r" and data.endswith(bare):
            self._head = bare  # its LF may follow
        elif bare:
            self._client.refuse_unread(MalformedRequest("A bare CR stands before the request."))
            return b""
        self._empty += passed
        if self._empty > self._context.limits.header_bytes:
            self._client.refuse_unread(self._headers_too_large())
            return b""
        return rest

    def _take_chunks(self, data: bytes) -> bytes:
        """Feed the parser with a part of a body in chunks, up to where it may end."""
        before = len(self._tail)
        text = self._tail + data
        end = text.find(HEAD_END) + 4
        if end < 4:
            end = len(text)
        self._tail = text[max(0, end - 3) : end] if end == len(text) else b""
        part = text[before:end]
        self._extensions += len(part)
        rest = self._parse(part) + text[end:]
        if self.exchange is None:
            self._tail = b""
        else:
            self._check_extensions()
        return rest

    def _check_extensions(self) -> None:
        """Refuse chunk extensions that are too long together (RFC 9112, 7.1.1)."""
        self._extensions = max(0, self._extensions)  # what was spared pays for nothing that follows
        if self._extensions > self._context.limits.header_bytes:
            self._client.refuse_unread(self._headers_too_large())

    def _parse(self, data: bytes) -> bytes:
        """Feed the parser; returns what follows an ignored offer to upgrade."""
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
            self._client.refuse_unread(self._malformed(error))
        return b""

    def _malformed(self, error: httptools.HttpParserError) -> MalformedRequest:
        """Say what is wrong, and what it looks like where the parser does not know that."""
        if self._head[:2] == _TLS_HELLO:
            return MalformedRequest("This looks like TLS, but this port speaks plain HTTP.")
        if self._head[:14] == b"PRI * HTTP/2.0":
            return MalformedRequest("HTTP/2 is not supported; use HTTP/1.1.")
        return MalformedRequest(f"HTTP/1.1 does not allow this request: {error}.")

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
        self._header_bytes = self._extensions = self._left = self._empty = 0
        self._client.head_begins(now)

    def on_url(self, url: bytes) -> None:
        if self._offered:
            return
        exchange = self.exchange
        assert exchange is not None  # noqa: S101 - llhttp calls on_message_begin first
        exchange.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header, or a trailer, of which only the size matters."""
        if self._offered:
            return
        self._header_bytes += len(name) + len(value) + FIELD_OVERHEAD
        if self._header_bytes > self._context.limits.header_bytes:
            raise self._headers_too_large()
        exchange = self.exchange
        if exchange is None or self.headers_done:
            return
        value = value.strip(b" \t")  # llhttp leaves what follows a value (RFC 9110, 5.5)
        self._headers.append((name, value))
        lowered = name.lower()
        if lowered in _KNOWN:
            if lowered in exchange.known:
                value = self._join(exchange.known[lowered], lowered, value)
            exchange.known[lowered] = value

    def on_headers_complete(self) -> None:
        """Refuse what can be refused before the body is there."""
        if self._offered:
            return
        exchange = self.exchange
        assert exchange is not None  # noqa: S101
        self.headers_done = True
        if len(self._head) > self._context.limits.header_bytes:
            raise self._headers_too_large()
        parser = self._parser
        exchange.method = parser.get_method()
        self._check_request_line()
        exchange.path = exchange.target.partition(b"?")[0]
        if exchange.method == b"HEAD":
            exchange.head_only = True
        known = exchange.known
        version = parser.get_http_version()
        if version != "1.1":
            self._check_old_version(exchange, version)
        elif b"host" not in known:
            raise MalformedRequest("An HTTP/1.1 request needs a Host header (RFC 9112, 3.2).")
        self._check_hosts(exchange)
        exchange.keep_alive = self._keeps_alive(exchange)
        identify(exchange, self._context.make_id)
        exchange.usual = not (
            exchange.client_id or exchange.trace_id or exchange.http10 or exchange.head_only
        )
        exchange.route, exchange.path = self._context.routes.find(exchange.path)
        if b"transfer-encoding" in known:
            self._chunked = True
            self._check_coding(known[b"transfer-encoding"])
        if b"content-length" in known:
            length = int(known[b"content-length"].lstrip(b"0") or b"0")
            self._check_size(length, f"{length} bytes")
            past_parser = length >= MEMORY_FILE_FROM or parser.should_upgrade()
            self._counted = length if past_parser and not self._chunked else 0
            self._left = length
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
        self._extensions -= len(data)
        self.continue_owed = False
        size = exchange.size + len(data)
        self._check_size(size, f"{size} bytes or more")
        self._keep(exchange, data)

    def on_chunk_header(self) -> None:
        self._extensions -= _CHUNK_LINES

    def _keep(self, exchange: Exchange, data: bytes) -> None:
        """Keep a piece of the body; where no worker will see it, only its size counts."""
        if not exchange.route.protocol:
            exchange.size += len(data)
            return
        self._context.budget.hold(exchange, exchange.size + len(data), self._client)
        self._body.add(exchange, data)

    def on_message_complete(self) -> None:
        if self._offered:
            return  # the parser takes the body for another protocol
        if self._extensions > self._context.limits.header_bytes:
            raise self._headers_too_large()
        exchange, self.exchange = self.exchange, None
        assert exchange is not None  # noqa: S101
        if self._chunked:
            self._chunked = False
            if not self._parser.should_keep_alive():  # as a trailer may say
                exchange.keep_alive = False
        self._counted = 0
        if exchange.size:
            self._body.end(exchange)
            self._settle()
        self._client.arrived(exchange)

    def _settle(self) -> None:
        """Note that no body arrives any more; those that wait here may still have to give way."""
        if not self._client.has_waiting:
            self._context.budget.settled(self._client)

    # -- limits -------------------------------------------------------------------------------

    @staticmethod
    def _join(before: bytes, name: bytes, value: bytes) -> bytes:
        """Return the value of a repeated header; lists are joined (RFC 9110, 5.3)."""
        if name == b"host":
            raise MalformedRequest("The request has two Host headers.")
        return before + b", " + value if name in _LISTS else value

    def _check_request_line(self) -> None:
        """Refuse request lines of other protocols: llhttp also accepts RTSP and ICE."""
        line = self._head[: self._head.find(b"\r\n")]
        target, _, version = line.rpartition(b" HTTP/")
        is_one_line = b"\r" not in line and b"\n" not in line
        if not (target and is_one_line and _VERSION.fullmatch(version)):
            raise MalformedRequest("The request line is not valid in HTTP/1.1 or 1.0.")

    @staticmethod
    def _check_hosts(exchange: Exchange) -> None:
        """Refuse an invalid Host, and a target without a valid host (RFC 9112, 3.2)."""
        host = exchange.known.get(b"host", b"")
        if not _HOST.fullmatch(host):
            raise MalformedRequest(f"The Host header is not valid: {host.decode('latin-1')!r}.")
        if exchange.method == b"CONNECT":
            if b"/" in exchange.target:
                raise MalformedRequest("The target of CONNECT must be a host and a port.")
        elif exchange.target[:1] != b"/":
            absolute = _ABSOLUTE.match(exchange.target)
            if absolute and (absolute[1][:1] in b":" or not _HOST.fullmatch(absolute[1])):
                raise MalformedRequest("The target of the request does not name a valid host.")

    def _keeps_alive(self, exchange: Exchange) -> bool:
        """Return whether the connection goes on after this request (RFC 9112, 9.3)."""
        given = exchange.known.get(b"connection", b"").lower().split(b",")
        options = {each.strip(b" \t") for each in given}
        wanted = b"keep-alive" in options if exchange.http10 else True
        draining = self._context.phase.now >= DRAINING
        return (
            wanted and b"close" not in options and not draining and self._parser.should_keep_alive()
        )

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
        """Refuse any transfer coding but chunked, once (RFC 9112, 6.1 and 7)."""
        codings = [each.strip(b" \t").lower() for each in value.split(b",")]
        if codings == [b"chunked"]:
            return
        text = f"The Transfer-Encoding is {value.decode('latin-1')!r}; only chunked is supported."
        is_coded = codings[-1] == b"chunked" and all(codings) and codings.count(b"chunked") == 1
        raise UnknownTransferCoding(text) if is_coded else MalformedRequest(text)

    def _headers_too_large(self) -> HeadersTooLarge:
        limit = self._context.limits.header_bytes
        return HeadersTooLarge(
            f"The request line and headers exceed {limit} bytes, where each header counts for "
            f"{FIELD_OVERHEAD} bytes more than its text (SCOREHOST_MAX_HEADER_BYTES). Send fewer "
            "or shorter headers."
        )

    def _check_size(self, size: int, shown: str) -> None:
        limit = self._context.limits.body_bytes
        if size > limit:
            raise BodyTooLarge(
                f"The body has {shown}; at most {limit} are accepted "
                "(SCOREHOST_MAX_BODY_BYTES). Send less, or raise the limit."
            )

    def _answer_expectation(self, exchange: Exchange, value: bytes) -> None:
        expected = [each.strip(b" \t").lower() for each in value.split(b",")]
        if b"100-continue" in expected and not exchange.http10:
            self.continue_owed = True
            if self._client.active is None:
                self._client.ask_for_body()
