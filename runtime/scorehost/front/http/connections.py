"""The open connections: how many there may be, whose time is over, and how they end.

When there are as many as there may be, a new one takes another's place:

1. that of a connection that has not sent a whole request yet, if it stands still, or if such
   connections hold a quarter of the places: then the server is being flooded;
2. else that of a few that stand still in a later request, or have been idle longest;
3. else that of the client that takes its answer slowest, if it stands still;
4. where all are being served, the new one is closed.

Of the first kind, the one that was heard of longest ago is closed: a real client goes on.

The health port has places of its own, so that no client of the other port takes a probe's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final, Protocol

HEALTH_CONNECTIONS: Final = 64
"""Connections of the health port."""
_STANDS_STILL: Final = 2.0
"""Seconds of silence in the middle of a request before it counts less than an idle connection."""
_FLOODED: Final = 4
"""The server is being flooded when more than a quarter of all places are taken by connections that
have not sent a whole request yet."""
_FEW: Final = 8
"""Up to this many such connections are never a flood, even with few places."""
_AT_ONCE: Final = 32
"""One place in 32 is freed at a time, because finding whom to close takes a look at all."""
_NO_LOOK: Final = 0.1
"""Seconds without another look after one that found none to close."""


class Member(Protocol):
    """What the set asks of a :class:`~scorehost.front.http.connection.Connection`."""

    deadline: float
    health_only: bool

    @property
    def idle(self) -> bool: ...
    @property
    def droppable(self) -> bool: ...
    @property
    def silent_since(self) -> float: ...
    @property
    def heard_from(self) -> float: ...
    def expire(self) -> None: ...
    def last_response_closes(self) -> None: ...
    def drop(self) -> None: ...
    def close(self) -> None: ...
    def end(self) -> None: ...
    def cut(self) -> None: ...


class _Places:
    """The connections of one port."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._look_from = 0.0
        self.made_room = 0
        """Connections that were closed for others, so far."""
        self.open: set[Member] = set()
        self.fresh: dict[Member, None] = {}
        """Those that have not sent a whole request yet; who went on longest ago comes first."""

    def take(self, connection: Member, now: float) -> bool:
        if len(self.open) >= self._most and not self.make_room(now):
            return False
        self.open.add(connection)
        self.fresh[connection] = None
        return True

    def make_room(self, now: float) -> bool:
        fresh = list(islice(self.fresh, 1))
        flooded = len(self.fresh) > max(_FEW, self._most // _FLOODED)
        stands_still = bool(fresh) and fresh[0].silent_since < now - _STANDS_STILL
        dropped = fresh if flooded or stands_still else self._least_wanted(now) or fresh
        for each in dropped:
            self.leave(each)
            each.drop()
        self.made_room += len(dropped)
        return bool(dropped)

    def _least_wanted(self, now: float) -> list[Member]:
        if now < self._look_from:
            return []

        def rank(each: Member) -> tuple[int, float]:
            since = each.silent_since
            if each.idle:
                return 1, since
            return (0 if since < now - _STANDS_STILL else 2), since

        closable = (each for each in self.open if each.droppable and each not in self.fresh)
        found = sorted(closable, key=rank)
        if not found:
            self._look_from = now + _NO_LOOK
        return found[: max(1, self._most // _AT_ONCE)]

    def leave(self, connection: Member) -> None:
        self.open.discard(connection)
        self.fresh.pop(connection, None)


class Connections:
    """Every open connection of one server.

    Parameters
    ----------
    most : how many may be open on the port that scores.
    now : tells the time, in seconds.
    cut_one : cuts off a client that does not take its answer, and tells whether there is one.
    """

    def __init__(self, most: int, now: Callable[[], float], cut_one: Callable[[], bool]) -> None:
        self._now = now
        self._cut_one = cut_one
        self._scoring = _Places(most)
        self._health = _Places(HEALTH_CONNECTIONS)

    def __len__(self) -> int:
        return len(self._scoring.open) + len(self._health.open)

    def __iter__(self) -> Iterator[Member]:
        """Iterate over a copy: a connection may close in the meantime."""
        return iter(list(chain(self._scoring.open, self._health.open)))

    def _places(self, connection: Member) -> _Places:
        return self._health if connection.health_only else self._scoring

    def opened(self, connection: Member) -> bool:
        """Take in a connection that was accepted; return False when all places are taken."""
        places = self._places(connection)
        return (
            connection in places.open
            or places.take(connection, self._now())
            or (self._cut_one() and places.take(connection, self._now()))
        )

    def goes_on(self, connection: Member) -> None:
        """Note that a client has sent a head, or a good piece of a body."""
        fresh = self._places(connection).fresh
        if connection in fresh:
            del fresh[connection]
            fresh[connection] = None

    def has_arrived(self, connection: Member) -> None:
        """Note that a client has sent a whole request."""
        self._places(connection).fresh.pop(connection, None)

    def make_room(self) -> bool:
        """Close connections of the port that scores, as the system can't open any more."""
        return self._scoring.make_room(self._now())

    @property
    def made_room(self) -> int:
        """Connections that were closed for others, on both ports, so far."""
        return self._scoring.made_room + self._health.made_room

    def closed(self, connection: Member) -> None:
        self._places(connection).leave(connection)

    def unanswered(self) -> int:
        """Return how many have a request that has not been answered yet."""
        return sum(1 for each in self if not each.idle)

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
            if now >= max(since, each.heard_from) + linger:
                each.close()

    def end(self) -> None:
        """Close every connection, whatever it waits for."""
        for each in self:
            each.end()

    def cut(self) -> None:
        """Cut off the clients that have not taken all of their answers."""
        for each in self:
            each.cut()
