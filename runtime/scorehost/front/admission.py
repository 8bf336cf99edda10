"""Who may wait, how many, with how much, and for how long.

The queue is bounded in requests, in bytes and in time. What is over a bound is refused at once
with the limit, the value and the setting in the answer, and a time after which to try again
that comes from how long requests have taken lately.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scorehost.errors import Overloaded
from scorehost.front.exchange import Exchange
from scorehost.front.routes import SCORE
from scorehost.settings import Settings

if TYPE_CHECKING:
    from scorehost.front.dispatch import Dispatcher

QUEUE_PER_WORKER: Final = 100
SMALL_BODY: Final = 64 << 10
"""Bytes that a probe may bring along even when scoring bodies fill the limit."""
LONGEST_RETRY_AFTER: Final = 60.0
"""Seconds; longer advice is not worth more than trying again."""


class Refusal(Overloaded):
    """An overload with the numbers that explain it."""

    def __init__(self, message: str, **numbers: Any) -> None:
        super().__init__(message)
        self.numbers = numbers


class Admission:
    """Counts what is held and says no.

    Parameters
    ----------
    settings : the three bounds.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.bytes_held = 0
        self.dispatcher: Dispatcher | None = None

    def has_room(self, size: int) -> bool:
        """Whether a body of this size may be held without asking further."""
        return self.bytes_held + size <= self._settings.max_queue_bytes

    def hold(self, exchange: Exchange, size: int) -> None:
        """Count the bytes of a body before they are read.

        Raises
        ------
        Refusal
            All bodies together would be over the byte limit.
        """
        more = size - exchange.held
        limit = self._settings.max_queue_bytes
        counts = exchange.route == SCORE or size > SMALL_BODY
        if self.bytes_held and self.bytes_held + more > limit and counts:
            raise Refusal(
                f"The bodies of waiting requests would hold {self.bytes_held + more} bytes; at "
                f"most {limit} are kept (SCOREHOST_MAX_QUEUE_BYTES). Try again later.",
                limit=limit,
                value=self.bytes_held + more,
                setting="SCOREHOST_MAX_QUEUE_BYTES",
            )
        self.bytes_held += more
        exchange.held = size

    def queue_limit(self, workers: int) -> int:
        """Requests that may wait, for this number of workers."""
        limit = self._settings.max_queue_length
        return QUEUE_PER_WORKER * max(1, workers) if limit is None else limit

    def queue_full(self, waiting: int, workers: int) -> Refusal:
        """The refusal for a queue that is full."""
        limit = self.queue_limit(workers)
        return Refusal(
            f"The queue is full: {waiting} requests are waiting for {workers} worker"
            f"{'s' if workers != 1 else ''}; at most {limit} may (SCOREHOST_MAX_QUEUE_LENGTH). "
            "Try again later, or add workers (WORKER_COUNT).",
            limit=limit,
            value=waiting,
            queue_length=waiting,
            setting="SCOREHOST_MAX_QUEUE_LENGTH",
        )

    def waited_too_long(self, waited: float, waiting: int) -> Refusal:
        """The refusal for a request whose wait is over."""
        limit = self._settings.max_queue_wait_ms
        return Refusal(
            f"The request waited {waited * 1000:.0f} ms for a worker; at most {limit} ms are "
            f"allowed (SCOREHOST_MAX_QUEUE_WAIT_MS), and {waiting} requests are waiting. "
            "Try again later, or add workers (WORKER_COUNT).",
            limit=limit,
            value=round(waited * 1000),
            queue_length=waiting,
            setting="SCOREHOST_MAX_QUEUE_WAIT_MS",
        )

    @staticmethod
    def retry_after(waiting: int, workers: int, service: float) -> float:
        """Seconds until the queue as it is now will have been worked off."""
        return min(LONGEST_RETRY_AFTER, max(1.0, waiting * service / max(1, workers)))
