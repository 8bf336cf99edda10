"""How many requests may wait, and for how long.

What is over a limit is refused at once, with the limit, the value and the setting in the answer,
and a time after which to try again that comes from how long requests have taken lately.
"""

from __future__ import annotations

from typing import Final

from scorehost.errors import Overloaded
from scorehost.settings import Settings

QUEUE_PER_WORKER: Final = 100
LONGEST_RETRY_AFTER: Final = 60.0
"""Seconds; longer advice is not worth more than trying again."""


class QueueLimits:
    """The limits of the queue, and the refusals of those who are over one.

    Parameters
    ----------
    settings : the limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def queue_limit(self, workers: int) -> int:
        """Requests that may wait, for this number of workers."""
        limit = self._settings.max_queue_length
        return QUEUE_PER_WORKER * max(1, workers) if limit is None else limit

    def queue_full(self, waiting: int, workers: int, retry_after: float) -> Overloaded:
        """The refusal for a queue that is full."""
        limit = self.queue_limit(workers)
        return Overloaded(
            f"The queue is full: {waiting} requests are waiting for {workers} worker"
            f"{'s' if workers != 1 else ''}; at most {limit} may (SCOREHOST_MAX_QUEUE_LENGTH). "
            "Try again later, or add workers (WORKER_COUNT).",
            retry_after,
            limit=limit,
            value=waiting,
            queue_length=waiting,
            setting="SCOREHOST_MAX_QUEUE_LENGTH",
        )

    def waited_too_long(self, waited: float, waiting: int, retry_after: float) -> Overloaded:
        """The refusal for a request whose wait is over."""
        limit = self._settings.max_queue_wait_ms
        return Overloaded(
            f"The request waited {waited * 1000:.0f} ms for a worker; at most {limit} ms are "
            f"allowed (SCOREHOST_MAX_QUEUE_WAIT_MS), and {waiting} requests are waiting. "
            "Try again later, or add workers (WORKER_COUNT).",
            retry_after,
            limit=limit,
            value=round(waited * 1000),
            queue_length=waiting,
            setting="SCOREHOST_MAX_QUEUE_WAIT_MS",
        )

    @staticmethod
    def retry_after(waiting: int, workers: int, service: float) -> float:
        """Seconds until the queue as it is now will have been worked off."""
        return min(LONGEST_RETRY_AFTER, max(1.0, waiting * service / max(1, workers)))
