"""How many requests may wait, and for how long.

A request over a limit is refused at once. The answer names the limit, the value and the setting,
and when to try again, which is estimated from how long requests have taken lately.
"""

from __future__ import annotations

from typing import Final

from scorehost.errors import Overloaded
from scorehost.settings import Settings

QUEUE_PER_WORKER: Final = 100
LONGEST_RETRY_AFTER: Final = 60.0
"""Seconds; an estimate of a longer wait would not be worth more than trying again."""


class QueueLimits:
    """The limits of the queue, from the settings, and the refusals of what is over one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def queue_limit(self, workers: int) -> int:
        """Return how many requests may wait for this number of workers."""
        limit = self._settings.max_queue_length
        return QUEUE_PER_WORKER * max(1, workers) if limit is None else limit

    def queue_full(self, waiting: int, workers: int, retry_after: float) -> Overloaded:
        """Return the refusal of a request that finds the queue full."""
        limit = self.queue_limit(workers)
        return Overloaded(
            f"The queue is full: {_are_waiting(waiting)} for {workers} "
            f"worker{'' if workers == 1 else 's'}; at most {limit} may "
            "(SCOREHOST_MAX_QUEUE_LENGTH). "
            "Try again later, or add workers (WORKER_COUNT).",
            retry_after, limit=limit, value=waiting, queue_length=waiting,
            setting="SCOREHOST_MAX_QUEUE_LENGTH",
        )  # fmt: skip

    def waited_too_long(self, waited: float, waiting: int, retry_after: float) -> Overloaded:
        """Return the refusal of a request that has waited for too long (seconds)."""
        limit = self._settings.max_queue_wait_ms
        return Overloaded(
            f"The request waited {waited * 1000:.0f} ms for a worker; at most {limit} ms are "
            f"allowed (SCOREHOST_MAX_QUEUE_WAIT_MS), and {_are_waiting(waiting)}. "
            "Try again later, or add workers (WORKER_COUNT).",
            retry_after, limit=limit, value=round(waited * 1000), queue_length=waiting,
            setting="SCOREHOST_MAX_QUEUE_WAIT_MS",
        )  # fmt: skip

    @staticmethod
    def retry_after(waiting: int, workers: int, run_time: float) -> float:
        """Estimate the seconds until what waits now has been scored."""
        return min(LONGEST_RETRY_AFTER, max(1.0, waiting * run_time / max(1, workers)))


def _are_waiting(number: int) -> str:
    return "1 request is waiting" if number == 1 else f"{number} requests are waiting"
