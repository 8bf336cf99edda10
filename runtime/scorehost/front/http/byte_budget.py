"""How many bytes of bodies may be held at once, over all connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scorehost.errors import Overloaded
from scorehost.front.http.exchange import Exchange

SMALL_BODY: Final = 64 << 10
"""Bytes that a probe may bring along even when scoring bodies fill the limit."""


class ByteBudget:
    """Counts the bytes of bodies that are held, and refuses what would be too much.

    Parameters
    ----------
    limit : bytes that all bodies together may hold (SCOREHOST_MAX_QUEUE_BYTES).
    retry_after : tells after how many seconds a refused client should try again.

    Attributes
    ----------
    held : bytes that are held now.
    """

    def __init__(self, limit: int, retry_after: Callable[[], float]) -> None:
        self._limit = limit
        self._retry_after = retry_after
        self.held = 0

    def has_room(self, size: int) -> bool:
        """Whether a body of this size may be held, whichever route it is for."""
        return self.held + size <= self._limit

    def hold(self, exchange: Exchange, size: int) -> None:
        """Count the bytes of a body before they are read.

        Raises
        ------
        Overloaded
            All bodies together would be over the byte limit.
        """
        more = size - exchange.held
        limit = self._limit
        counts = bool(exchange.route.protocol) or size > SMALL_BODY
        if self.held and self.held + more > limit and counts:
            raise Overloaded(
                f"The bodies of the waiting requests would take {self.held + more} bytes; at "
                f"most {limit} are allowed (SCOREHOST_MAX_QUEUE_BYTES). Try again later.",
                self._retry_after(),
                limit=limit,
                value=self.held + more,
                setting="SCOREHOST_MAX_QUEUE_BYTES",
            )
        self.held += more
        exchange.held = size

    def no_room(self, error: OSError) -> Overloaded:
        """Return the refusal of a body for which the system has no memory file."""
        problem = f"No memory is available for another request body: {error}."
        return Overloaded(problem, self._retry_after())
