"""From samples to figures: medians, their spread, ratios within one run.

Pure arithmetic. Ratios are taken round by round, because the two servers of one round met the
same machine; a ratio of two medians would mix quiet minutes with busy ones.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A median with the lowest and the highest value it was taken from."""

    median: float
    low: float
    high: float
    count: int

    def text(self, digits: int = 0) -> str:
        """``median (low–high)`` with thousands marked."""
        shown = [f"{value:,.{digits}f}" for value in (self.median, self.low, self.high)]
        return f"{shown[0]} ({shown[1]}–{shown[2]})"


def spread(values: Sequence[float]) -> Spread:
    """Summarise values; at least one is needed."""
    if not values:
        raise ValueError("no samples to summarise")
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours divided by theirs, round by round."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} rounds of one and {len(theirs)} of the other")
    return spread([mine / other for mine, other in zip(ours, theirs, strict=True)])


def alternation(names: Sequence[str], rounds: int) -> list[list[str]]:
    """The order of servers in each round: forwards, then backwards, so that drift cancels."""
    return [list(names) if turn % 2 == 0 else list(reversed(names)) for turn in range(rounds)]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed."""
    if not values:
        raise ValueError("no samples to summarise")
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]
