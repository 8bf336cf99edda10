"""What a connection may use of the server that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from scorehost.front.http.byte_budget import ByteBudget, UntakenAnswers
from scorehost.front.http.connections import Connections
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.head_cache import HeadCache
from scorehost.front.http.routes import Routes
from scorehost.front.http.turns import Turns
from scorehost.front.phase import Phase


@dataclass(frozen=True)
class Limits:
    """What one connection may take.

    Parameters
    ----------
    header_timeout, body_timeout, idle_timeout : seconds.
    header_bytes : of the request line and headers together.
    body_bytes : of one body.
    """

    header_timeout: float
    body_timeout: float
    idle_timeout: float
    header_bytes: int
    body_bytes: int


class Service(Protocol):
    """What decides what becomes of requests."""

    def serve(self, exchange: Exchange) -> None:
        """Answer a whole request, now or later."""

    def abandon(self, exchange: Exchange) -> None:
        """Let go of a request whose client has left."""

    def give_up_waiting(self, exchange: Exchange) -> bool:
        """Take a request out of the queue; return False when a worker may have begun it."""


@dataclass(slots=True)
class Context:
    """What connections share; ``now``, ``soon`` and ``later`` are the clock's.

    ``turns`` has long work done in pieces.
    """

    limits: Limits
    phase: Phase
    speaks_tls: bool
    now: Callable[[], float]
    soon: Callable[..., Any]
    later: Callable[..., Any]
    turns: Turns
    make_id: Callable[[], bytes]
    routes: Routes
    budget: ByteBudget
    untaken: UntakenAnswers
    head_cache: HeadCache
    connections: Connections
    service: Service
