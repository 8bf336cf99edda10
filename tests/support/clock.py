"""Holding what a clock says to a bar.

A test that does so has the marker ``clock``: it runs alone, after all others, as whatever runs
beside it would be measured too. Better still is a test that proves the order of events.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable


def hold_to(bar: float, measure: Callable[[], float], times: int = 5) -> None:
    """Measure a few times, and hold the median to a bar."""
    found = [measure() for _ in range(times)]
    median = statistics.median(found)
    assert median <= bar, f"the median of {sorted(found)} is {median}; at most {bar} is allowed"
