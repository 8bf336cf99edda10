"""The requests that one worker has been given and has not answered, by number."""

from __future__ import annotations

from itertools import islice
from typing import Final

from scorehost.front.http.exchange import Exchange

WIDTH: Final = 1
"""Requests that may be inside ``run()`` of one worker at once."""


class InFlight(dict[int, Exchange]):
    """Exchanges by number, in the order in which the worker begins them.

    The first ``WIDTH`` are inside, as far as the front can know; those behind them were written
    ahead. Answers come back by number, in any order.
    """

    __slots__ = ()

    @property
    def first(self) -> Exchange:
        return next(iter(self.values()))

    def inside(self) -> list[Exchange]:
        """Return the exchanges that the worker is in, or begins next."""
        return list(islice(self.values(), WIDTH))

    def is_inside(self, number: int) -> bool:
        """Return whether the worker is in this request, or begins it next."""
        return number in islice(self, WIDTH)

    def put_first(self, exchange: Exchange) -> None:
        """Put an exchange before all others."""
        others = list(self.items())
        self.clear()
        self[exchange.number] = exchange
        self.update(others)

    def take(self, numbers: list[int]) -> list[Exchange]:
        """Remove and return the exchanges with these numbers."""
        return [self.pop(number) for number in numbers if number in self]
