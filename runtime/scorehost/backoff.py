"""How long to wait before a process that ended is started again.

The first end costs nothing; each further one within a minute doubles the pause, so that a
script that dies at every request, or whose ``init()`` fails, doesn't keep a CPU busy with dying.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts to replace a worker that keeps dying."""
QUIET: Final = 60.0
"""Seconds after which an end is forgotten."""
_SECOND: Final = 0.25
"""Seconds before the start that follows the second end."""


class Backoff:
    """Remembers the recent ends of one server's processes."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=16)  # 0.25 s · 2^15 is far over the longest

    def after_end(self, now: float) -> float:
        """Note an end; returns the seconds to wait before the next start."""
        while self._ends and now - self._ends[0] > QUIET:
            self._ends.popleft()
        self._ends.append(now)
        if len(self._ends) == 1:
            return 0.0
        pause: float = _SECOND * 2 ** (len(self._ends) - 2)
        return min(LONGEST_PAUSE, pause)

    @property
    def recent(self) -> int:
        """How many ends are remembered."""
        return len(self._ends)
