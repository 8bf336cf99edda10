"""How long to wait before a process that ended is started again, or a disk that failed is tried.

The first end costs nothing; each further one within a minute doubles the pause, so that a
script that dies at every request, or whose ``init()`` fails, doesn't keep a CPU busy with dying.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts to replace a process that keeps dying."""
QUIET: Final = 60.0
"""Seconds after which an end is forgotten."""
_SECOND_PAUSE: Final = 0.25


class Backoff:
    """Remembers the recent ends of one kind of process.

    Parameters
    ----------
    second_pause : seconds before the start that follows the second end within QUIET.
    """

    def __init__(self, second_pause: float = _SECOND_PAUSE) -> None:
        self._second_pause = second_pause
        self._ends: deque[float] = deque(maxlen=16)  # the pause is far over the longest by then

    def after_end(self, now: float) -> float:
        """Note an end; returns the seconds to wait before the next start."""
        while self._ends and now - self._ends[0] > QUIET:
            self._ends.popleft()
        self._ends.append(now)
        if len(self._ends) == 1:
            return 0.0
        pause: float = self._second_pause * 2 ** (len(self._ends) - 2)
        return min(LONGEST_PAUSE, pause)

    @property
    def recent(self) -> int:
        """How many ends are remembered."""
        return len(self._ends)
