"""Refusing at a bounded pace, so that refusing does not starve the work that was accepted.

Telling a client that there is no room costs about as much as answering it. A few hundred clients
that try again at once keep a server busy with nothing but refusals. So only so many are sent in a
second. The others wait for their turn, and their clients ask for nothing meanwhile; if there is
room by then, a request is scored after all. While few are refused, each is refused at once: a load
balancer that tries another server then loses no time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from scorehost.errors import RequestError
from scorehost.front.clock import Clock
from scorehost.front.http.exchange import ARRIVING, DONE, Exchange

TICK: Final = 0.01
"""Seconds between two turns."""
EACH_TICK: Final = 5
"""Refusals in one turn: five hundred a second, which take a few hundredths of a core.
``benchmarks/overload.py`` measures what is left for work beside them."""
LONGEST: Final = 2.0
"""Seconds within which each is refused: where very many wait, more are refused in a turn."""


class Refusals:
    """The requests that wait to be refused.

    Parameters
    ----------
    answer : answers a request with an error.
    admit : takes in a request that nobody has had yet, if there is room now, and tells whether.
    """

    def __init__(
        self,
        clock: Clock,
        answer: Callable[[Exchange, RequestError], None],
        admit: Callable[[Exchange], bool],
    ) -> None:
        self._later = clock.later
        self._answer = answer
        self._admit = admit
        self._waiting: deque[tuple[Exchange, RequestError, bool]] = deque()
        self._each_tick = self._left = EACH_TICK
        self._ticking = False

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        """Refuse a request now, or when it is its turn."""
        if not self._ticking:
            self._ticking = True
            self._later(TICK, self._tick)
        if self._left > 0:
            self._left -= 1
            self._answer(exchange, error)
        else:
            is_new = exchange.state == ARRIVING and exchange.error is None
            exchange.state = ARRIVING  # with no worker, and in no queue
            self._waiting.append((exchange, error, is_new))
            needed = math.ceil(len(self._waiting) * TICK / LONGEST)
            self._each_tick = max(self._each_tick, needed)

    def refuse_all(self) -> None:
        """Refuse all that wait, as the server is stopping."""
        while self._waiting:
            exchange, error, _ = self._waiting.popleft()
            if exchange.state != DONE:
                self._answer(exchange, error)

    def _tick(self) -> None:
        refused = 0
        try:
            refused = self._refuse(self._each_tick)
        finally:  # whatever an answer has met, the others have their turns
            if not self._waiting:
                self._each_tick = EACH_TICK
            self._left = max(0, EACH_TICK - refused)
            self._ticking = bool(self._waiting) or self._left < EACH_TICK
            if self._ticking:
                self._later(TICK, self._tick)

    def _refuse(self, most: int) -> int:
        """Refuse the first of those that wait, or take them in after all.

        Those whose clients have left do not count.
        """
        refused = 0
        while refused < most and self._waiting:
            exchange, error, is_new = self._waiting.popleft()
            if exchange.state == DONE:
                continue
            refused += 1
            if not (is_new and self._admit(exchange)):
                self._answer(exchange, error)
        return refused
