"""When a worker has served long enough: after a number of requests, or above a memory mark.

Only says so; ``pool.py`` starts the replacement, lets it warm up, and then retires the old
worker between two of its requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from scorehost.front.workers.handle import WorkerHandle
from scorehost.settings import Settings

JITTER: Final = 0.1
"""Part of SCOREHOST_MAX_REQUESTS by which workers differ, so that they don't go at once."""


class Recycling:
    """The two marks.

    Parameters
    ----------
    settings : SCOREHOST_MAX_REQUESTS and SCOREHOST_MAX_WORKER_MEMORY.
    warn : told once when the memory mark cannot be kept.
    chance : gives a number from 0 to below 1; spreads the workers.
    """

    def __init__(
        self,
        settings: Settings,
        warn: Callable[[str], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._requests = settings.max_requests
        self._bytes = settings.max_worker_memory
        self._warn = warn
        self._chance = chance
        self._warned = False

    def begin(self, worker: WorkerHandle) -> None:
        """A worker has become ready: note when its requests will be enough, and its size now."""
        if self._requests:
            spread = int(self._requests * JITTER * self._chance())
            worker.recycle_at = max(1, self._requests - spread)
        if self._bytes:
            worker.fresh_bytes = worker.memory()

    def too_large(self, worker: WorkerHandle, size: int) -> str:
        """Why a worker of this size must go, or ""."""
        if not self._bytes or size <= self._bytes:
            return ""
        if worker.fresh_bytes > self._bytes:
            self._warn_once(worker.fresh_bytes)
            return ""
        return f"it holds {size >> 20} MiB of memory"

    def _warn_once(self, fresh: int) -> None:
        if self._warned:
            return
        self._warned = True
        self._warn(
            f"a worker that has just run init() holds {fresh >> 20} MiB already, more than "
            f"SCOREHOST_MAX_WORKER_MEMORY ({self._bytes >> 20} MiB): replacing it would not help, "
            "and is not tried. Raise the limit."
        )
