"""How many bytes of bodies may be held at once, over all connections."""

from __future__ import annotations

from typing import Any, Final

from scorehost.errors import Overloaded
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.routes import SCORE

SMALL_BODY: Final = 64 << 10
"""Bytes that a probe may bring along even when scoring bodies fill the limit."""


class Refusal(Overloaded):
    """An overload with the numbers that explain it."""

    def __init__(self, message: str, **numbers: Any) -> None:
        super().__init__(message)
        self.numbers = numbers


class ByteBudget:
    """Counts the bytes of bodies that are held, and refuses what would be too much.

    Parameters
    ----------
    limit : bytes that all bodies together may hold (SCOREHOST_MAX_QUEUE_BYTES).

    Attributes
    ----------
    held : bytes that are held now.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def has_room(self, size: int) -> bool:
        """Whether a body of this size may be held without asking further."""
        return self.held + size <= self._limit

    def hold(self, exchange: Exchange, size: int) -> None:
        """Count the bytes of a body before they are read.

        Raises
        ------
        Refusal
            All bodies together would be over the byte limit.
        """
        more = size - exchange.held
        limit = self._limit
        counts = exchange.route == SCORE or size > SMALL_BODY
        if self.held and self.held + more > limit and counts:
            raise Refusal(
                f"The bodies of waiting requests would hold {self.held + more} bytes; at "
                f"most {limit} are kept (SCOREHOST_MAX_QUEUE_BYTES). Try again later.",
                limit=limit,
                value=self.held + more,
                setting="SCOREHOST_MAX_QUEUE_BYTES",
            )
        self.held += more
        exchange.held = size
