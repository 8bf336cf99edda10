"""Sends a recorded request through the running server again, without a socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scorehost.dev.recording import as_bytes
from scorehost.errors import RequestError
from scorehost.front.http.body import Body
from scorehost.front.http.context import Context
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.ids import identify


class Replayed:
    """Stands in for the connection of a request that has none.

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
        """Drop it: whoever asked for the replay reads the answer in the request history."""

    def write_large(self, body: memoryview, done: Callable[[], None], start: int = 0) -> None:
        del body, start
        done()

    def finished(self, exchange: Exchange, now: float) -> None:
        """Do nothing, because the history already has the request."""

    def reset(self) -> None:
        """Do nothing, because a replayed request has no connection that could be reset."""


def replay(context: Context, document: Mapping[str, Any]) -> None:
    """Score a recorded request again; called on the front's event loop."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in document["headers"]
        if not name.lower().startswith(("x-request-id", "x-ms-request-id", "x-ms-client-request"))
    ]
    known = {name.lower(): value for name, value in headers}
    connection = Replayed(document["number"], document["remote_address"])
    exchange = Exchange(connection, context.now(), known)
    exchange.headers = headers
    exchange.method = document["method"].encode("latin-1")
    exchange.target = document["target"].encode("latin-1")
    exchange.route, exchange.path = context.routes.find(exchange.target.partition(b"?")[0])
    try:
        identify(exchange, context.make_id)
        body = as_bytes(document["body"])
        context.budget.hold(exchange, len(body))
        whole = Body()
        whole.add(exchange, body)
        whole.end(exchange)
    except RequestError as error:  # most likely there is no room for its body now
        exchange.error = error
    except OSError as error:
        exchange.error = context.budget.no_room(error)
    context.service.serve(exchange)
