"""The open connections: how many there may be, whose time is over, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Member(Protocol):
    """What the set asks of a connection.

    Attributes
    ----------
    deadline : when its time is over (seconds, monotonic); 0 for never.
    """

    deadline: float

    @property
    def idle(self) -> bool:
        """Whether nothing is being received or answered."""

    @property
    def silent_since(self) -> float:
        """When the client was last heard of; infinity while it is our turn."""

    def expire(self) -> None:
        """Its time is over."""

    def last_response_closes(self) -> None:
        """End after what has been received is answered."""

    def close(self) -> None:
        """Close once everything written has left."""


class Connections:
    """Every open connection of one server.

    Parameters
    ----------
    most : how many may be open; past that the one idle longest has to go.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Member] = set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the connections that are open now, whatever becomes of them meanwhile."""
        return iter(list(self._open))

    def opened(self, connection: Member) -> None:
        self._open.add(connection)
        if len(self._open) > self._most:
            idle = [each for each in self._open if each.idle and each is not connection]
            if idle:
                min(idle, key=lambda each: each.silent_since).close()

    def closed(self, connection: Member) -> None:
        self._open.discard(connection)

    def unanswered(self) -> int:
        """Return how many have a request that was not answered yet."""
        return sum(1 for each in self._open if not each.idle)

    # -- the end ------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """End those whose time is over."""
        for each in self:
            if each.deadline and each.deadline < now:
                each.expire()

    def begin_to_drain(self) -> None:
        """Have every connection end with the last response that it owes."""
        for each in self:
            each.last_response_closes()

    def close_silent(self, now: float, since: float, linger: float) -> None:
        """Close those that have said nothing for ``linger`` seconds, counted from ``since``."""
        for each in self:
            if now >= max(since, each.silent_since) + linger:
                each.close()

    def close(self) -> None:
        for each in self:
            each.close()
