"""Find the highest rate a server sustains within a latency limit, one step after the other.

Pure: the caller applies each rate and reports what happened. Rates grow by half until one is
missed; then the gap between the best kept and the lowest missed is halved until it is narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

GROWTH = 1.5
NARROW = 1.08
"""The search ends when the lowest missed rate is within 8 % of the best kept one."""


@dataclass(frozen=True)
class Step:
    """One rate that was tried.

    Parameters
    ----------
    wanted : requests a second asked for.
    achieved : requests a second answered.
    latency_ms : the percentile that is limited.
    failures : requests that failed.
    """

    wanted: float
    achieved: float
    latency_ms: float
    failures: int = 0

    def kept(self, limit_ms: float, share: float = 0.9) -> bool:
        """Whether the rate was reached, without failures, within the limit."""
        return (
            self.failures == 0
            and self.latency_ms <= limit_ms
            and self.achieved >= share * self.wanted
        )


class RateSearch:
    """Says which rate to try next.

    Parameters
    ----------
    start : the first rate, requests a second.
    limit_ms : the latency that must not be exceeded.
    highest : a rate that is never exceeded.
    grain : rates are multiples of this.
    """

    def __init__(
        self, start: float, limit_ms: float, highest: float = 1e6, grain: float = 1.0
    ) -> None:
        self.limit_ms, self.highest, self.grain = limit_ms, highest, grain
        self.rate = self._grained(min(start, highest))
        self.steps: list[Step] = []
        self._kept = 0.0
        self._missed: float | None = None

    @property
    def best(self) -> Step | None:
        """The highest rate that was kept so far."""
        kept = [step for step in self.steps if step.kept(self.limit_ms)]
        return max(kept, key=lambda step: step.wanted, default=None)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to try."""
        if self._missed is not None:
            return self._missed <= max(self._kept * NARROW, self._kept + self.grain)
        return self._kept > self.highest - self.grain

    def report(self, step: Step) -> None:
        """Take note of what happened at :attr:`rate` and choose the next."""
        self.steps.append(step)
        if step.kept(self.limit_ms):
            self._kept = max(self._kept, self.rate)
        else:
            self._missed = self.rate if self._missed is None else min(self._missed, self.rate)
        self.rate = self._next()

    def _next(self) -> float:
        if self._missed is None:
            return self._grained(min(self._kept * GROWTH, self.highest))
        return self._grained((self._kept + self._missed) / 2)

    def _grained(self, rate: float) -> float:
        return max(1.0, rate // self.grain) * self.grain
