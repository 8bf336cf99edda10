"""A recorded request sent through the running server once more, without a socket."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from scorehost.dev.recording import as_bytes
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.ids import identify
from scorehost.wire.requests import MEMORY_FILE_FROM

if TYPE_CHECKING:
    from scorehost.front.front import Front


class Replayed:
    """What a request needs of its connection when it has none.

    Parameters
    ----------
    original : number of the request that is repeated.
    address : the client's, as recorded.
    """

    health_only = False
    lost = False
    writable = True
    on_drain: Callable[[], None] | None = None

    def __init__(self, original: int, address: str) -> None:
        self.replay_of = original
        self.address = address

    def write(self, data: bytes | memoryview) -> None:
        """Nobody waits for it; who asked reads the answer where requests are kept."""

    def write_large(self, body: memoryview, done: Callable[[], None], start: int = 0) -> None:
        """The same, and it is done at once."""
        del body, start
        done()

    def finished(self, exchange: Exchange, now: float) -> None:
        """It was kept before this is called."""

    def reset(self) -> None:
        """Nobody is there to notice."""


def replay(front: Front, document: Mapping[str, Any]) -> None:
    """Score a recorded request again; called on the front's event loop."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in document["headers"]
        if not name.lower().startswith(("x-request-id", "x-ms-request-id", "x-ms-client-request"))
    ]
    known = {name.lower(): value for name, value in headers}
    connection = Replayed(document["number"], document["remote_address"])
    exchange = Exchange(connection, front.now(), known)
    exchange.headers = headers
    exchange.method = document["method"].encode("latin-1")
    exchange.target = document["target"].encode("latin-1")
    exchange.path = exchange.target.partition(b"?")[0]
    body = as_bytes(document["body"])
    front.budget.hold(exchange, len(body))
    _give_body(exchange, body)
    identify(exchange, front.make_id)
    front.routes.assign(exchange)
    front.serve(exchange)


def _give_body(exchange: Exchange, body: bytes) -> None:
    exchange.size = len(body)
    if len(body) < MEMORY_FILE_FROM:
        exchange.body = body
        return
    exchange.body_file = os.memfd_create("scorehost-body", os.MFD_CLOEXEC)
    with os.fdopen(exchange.body_file, "wb", closefd=False) as file:
        file.write(body)
