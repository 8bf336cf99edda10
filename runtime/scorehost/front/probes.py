"""What the server says of itself: alive, started, ready, and what it is doing instead."""

from __future__ import annotations

import math
import time
from typing import Any, Final

from scorehost.front.dispatch import Dispatcher
from scorehost.front.handle import STARTING as IS_STARTING
from scorehost.front.pool import Pool

STARTING: Final = "starting"
READY: Final = "ready"
FAILED: Final = "failed"
DRAINING: Final = "draining"
RESTARTING: Final = "restarting"

RETRY_STARTING: Final = 2.0
"""Seconds after which a client should ask again while init() runs."""


class Status:
    """The server's state in words and numbers.

    Parameters
    ----------
    pool, dispatcher : what is asked.
    """

    def __init__(self, pool: Pool, dispatcher: Dispatcher) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self.draining = False

    @property
    def state(self) -> str:
        """One word."""
        if self.draining:
            return DRAINING
        if self._dispatcher.serving:
            return READY
        if self._pool.failed:
            return FAILED
        return RESTARTING if self._pool.ever_ready else STARTING

    def document(self) -> dict[str, Any]:
        """Everything a person looking at a probe wants to know."""
        pool, dispatcher = self._pool, self._dispatcher
        document: dict[str, Any] = {
            "state": self.state,
            "workers": {
                "ready": len(dispatcher.serving),
                "wanted": pool.wanted,
                "busy": dispatcher.busy,
            },
            "queue": len(dispatcher.queue),
        }
        doing = self.doing()
        if doing:
            document["doing"] = doing
        if pool.reloading:
            document["reloading"] = True
        if pool.last_death:
            document["last_worker_end"] = pool.last_death
        if pool.last_failure is not None:
            document["last_failure"] = self.failure()
        return document

    def doing(self) -> str:
        """What the workers that are starting do, and for how long; or when one will start."""
        starting = [each for each in self._pool.workers if each.state == IS_STARTING]
        if not starting:
            pause = self._pause()
            return f"the next worker starts in {pause:.1f} s" if pause > 0 else ""
        oldest = min(starting, key=lambda worker: worker.started)
        seconds = time.monotonic() - oldest.started
        return f"{_STAGES.get(oldest.stage, oldest.stage)} for {seconds:.1f} s"

    def _pause(self) -> float:
        """Seconds until a missing worker is started; they grow when workers keep ending."""
        return self._pool.next_start - time.monotonic() if self._pool.missing() else 0.0

    def retry_after(self) -> float:
        """Seconds after which a client that found nobody to score should ask again."""
        return math.ceil(max(RETRY_STARTING, self._pause()))

    def failure(self) -> dict[str, Any]:
        """The last failed start, in short; the whole report is in the log."""
        report = self._pool.last_failure or {}
        return {
            "stage": report.get("stage", ""),
            "error": f"{report.get('error_type', '')}: {report.get('message', '')}".lstrip(": "),
            "hint": report.get("hint", ""),
        }

    def not_ready(self) -> str:
        """Why a request is not scored now, for its client."""
        if self.state == FAILED:
            failure = self.failure()
            return (
                f"The entry script failed to start, in its stage {failure['stage']!r}: "
                f"{failure['error']} GET /readyz and the log have the whole of it."
            )
        doing = self.doing()
        tail = f": {doing}" if doing else ""
        return f"No worker can score yet; the server is {self.state}{tail}. Try again later."


_STAGES: Final = {
    "starting": "starting a process",
    "read": "reading the entry script",
    "import": "importing the entry script",
    "signature": "checking init() and run()",
    "init()": "running init()",
    "describe": "describing the service",
}
