"""Request heads that have been parsed before.

A client that keeps its connection sends the same head again and again. What llhttp made of
these very bytes is kept for a while, so that the same bytes need not be parsed twice. Only heads
that leave no doubt about where they end are kept, and none with a framing other than a length.
"""

from __future__ import annotations

from typing import Final

from scorehost.front.http.exchange import Client, Exchange
from scorehost.wire.requests import MEMORY_FILE_FROM

MOST_HEADS: Final = 512
LONGEST_HEAD: Final = 4096
"""Bytes; longer heads mostly carry something that changes each time."""
_MOST_HEADERS: Final = 40
"""A head of very many tiny headers takes thirty times its bytes."""
HEAD_END: Final = b"\r\n\r\n"
_ONCE_ONLY: Final = frozenset({
    b"x-request-id", b"x-ms-client-request-id", b"x-ms-request-id", b"traceid", b"traceparent",
})  # fmt: skip
"""Headers that differ with every request."""
_NOT_KEPT: Final = _ONCE_ONLY | {b"transfer-encoding", b"expect", b"upgrade"}


class Head:
    """What the front takes from a request's head.

    Attributes
    ----------
    length : bytes of the body that follows.
    """

    __slots__ = (
        "head_only", "headers", "known", "length", "method", "path", "route", "target", "usual",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, length: int) -> None:
        self.method = exchange.method
        self.target = exchange.target
        self.path = exchange.path
        self.headers = exchange.headers
        self.known = exchange.known
        self.head_only = exchange.head_only
        self.usual = exchange.usual
        self.route = exchange.route
        self.length = length

    def begin(self, client: Client, arrived: float) -> Exchange:
        """Make the exchange of another request with this head."""
        exchange = Exchange(client, arrived, self.known)
        exchange.method = self.method
        exchange.target = self.target
        exchange.path = self.path
        exchange.headers = self.headers
        exchange.head_only = self.head_only
        exchange.usual = self.usual
        exchange.route = self.route
        return exchange


class HeadCache:
    """A bounded table of heads by their bytes."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Head] = {}
        self.find = self._kept.get

    def remember(self, head: bytes, exchange: Exchange) -> None:
        """Keep a head that has just been parsed, if it is worth keeping."""
        lines = head.count(b"\n")
        if (
            not head[:1].isalpha()  # something stands before the request line
            or lines != len(exchange.headers) + 2
            or lines != head.count(b"\r\n")
            or len(exchange.headers) > _MOST_HEADERS
            or exchange.http10
            or not exchange.keep_alive
            or any(name.lower() in _NOT_KEPT for name, _ in exchange.headers)
        ):
            return
        length = int(exchange.known.get(b"content-length", b"0"))
        if length >= MEMORY_FILE_FROM or (length and not exchange.route.protocol):
            return  # the body passes by the parser, or is not kept
        if len(self._kept) >= MOST_HEADS:
            self._kept.clear()
        self._kept[head] = Head(exchange, length)
