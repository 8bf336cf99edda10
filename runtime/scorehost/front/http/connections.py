"""The open connections: how many there may be, whose time is over, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Member(Protocol):
    """What the set asks of a :class:`~scorehost.front.http.connection.Connection`."""

    deadline: float

    @property
    def idle(self) -> bool: ...
    @property
    def silent_since(self) -> float: ...
    def expire(self) -> None: ...
    def last_response_closes(self) -> None: ...
    def close(self) -> None: ...


class Connections:
    """Every open connection of one server.

    Parameters
    ----------
    most : how many may be open; past that the one that is idle longest is closed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Member] = set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Member]:
        """Iterate over a copy: a connection may close in the meantime."""
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
        """Return how many have a request that has not been answered yet."""
        return sum(1 for each in self._open if not each.idle)

    # -- the end ------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """End the connections whose time limit has passed."""
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
