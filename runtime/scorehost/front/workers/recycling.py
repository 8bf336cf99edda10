"""When a worker has served long enough: after a number of requests, or above a memory limit.

This module only decides that; ``lifecycle.py`` has the replacement started, and then retires the
old worker between two of its requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from scorehost.front.workers.roster import Member

JITTER: Final = 0.1
"""Part of SCOREHOST_MAX_REQUESTS by which workers differ, so that they don't all go at once."""


class Recycling:
    """The two limits.

    Parameters
    ----------
    requests : SCOREHOST_MAX_REQUESTS; 0 for none.
    memory : SCOREHOST_MAX_WORKER_MEMORY (bytes); 0 for none.
    warn : logs a warning, once, if the memory limit can't be kept.
    chance : returns a number in [0, 1), which spreads the workers.
    """

    def __init__(
        self,
        requests: int,
        memory: int,
        warn: Callable[[str], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._requests = requests
        self._bytes = memory
        self._warn = warn
        self._chance = chance
        self._warned = False

    def begin(self, member: Member, held_bytes: int) -> None:
        """Set for a ready worker how many requests it gets, and note the memory it holds."""
        if self._requests:
            spread = int(self._requests * JITTER * self._chance())
            member.recycle_at = max(1, self._requests - spread)
        member.fresh_bytes = held_bytes

    def too_large(self, member: Member, size: int) -> str:
        """Return why a worker of this size (bytes) is to be replaced, or ""."""
        if not self._bytes or size <= self._bytes:
            return ""
        if member.fresh_bytes <= self._bytes:
            return f"it holds {size >> 20} MiB of memory"
        if not self._warned:
            self._warned = True
            self._warn(
                f"a worker already holds {member.fresh_bytes >> 20} MiB of memory when init() is "
                f"done, more than SCOREHOST_MAX_WORKER_MEMORY ({self._bytes >> 20} MiB); as "
                "replacing it would not help, it is kept. Raise the limit."
            )
        return ""
