"""What the server reports about itself: whether it is ready, and what it is doing if not."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sized
from typing import Any, Final, Protocol

from scorehost import __version__
from scorehost.errors import NotReady
from scorehost.front.http.byte_budget import ByteBudget, UntakenAnswers
from scorehost.front.phase import LEAVING, Phase
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.workers.pool import Pool
from scorehost.front.workers.roster import STARTING as IS_STARTING
from scorehost.model_store import MODELS_FOLDER, model_names, versions
from scorehost.references import see_log
from scorehost.settings import Settings

STARTING: Final = "starting"
READY: Final = "ready"
FAILED: Final = "failed"
DRAINING: Final = "draining"
RESTARTING: Final = "restarting"

RETRY_STARTING: Final = 2.0
"""Seconds after which a client should ask again while init() runs."""


class Details(Protocol):
    """What the server's features know of its state; ``features.py`` documents the methods."""

    def doing(self) -> str: ...
    def add_to_state(self, document: dict[str, Any]) -> None: ...


class Status:
    """The server's state in words and numbers, as anybody may know it.

    What the script's exceptions say, its code, its output, processes and requests are for the log.
    A reference leads there.
    """

    def __init__(self, pool: Pool, dispatcher: Dispatcher, phase: Phase, details: Details) -> None:
        self._pool = pool
        self._life = pool.lifecycle
        self._details = details
        self._dispatcher = dispatcher
        self._phase = phase

    @property
    def state(self) -> str:
        if self._phase.now >= LEAVING:
            return DRAINING
        if self._dispatcher.serving:
            return READY
        if self._life.failed:
            return FAILED
        return RESTARTING if self._life.ever_ready else STARTING

    @property
    def is_ready(self) -> bool:
        """Whether to send requests here: a worker can score, and the server is not stopping."""
        return bool(self._dispatcher.serving) and self._phase.now < LEAVING

    @property
    def was_ever_ready(self) -> bool:
        """Whether ``init()`` has succeeded in some worker."""
        return self._life.ever_ready

    def documents(self) -> Mapping[str, Any] | None:
        """Return the swagger documents by version; None until a worker has described them."""
        return self._pool.description.get("documents")

    def document(self) -> dict[str, Any]:
        """Return the state in full, for people who read a probe's answer."""
        pool, life, dispatcher = self._pool, self._life, self._dispatcher
        document: dict[str, Any] = {
            "state": self.state,
            "workers": {
                "ready": len(dispatcher.serving),
                "wanted": life.wanted,
                "busy": dispatcher.busy,
            },
            "queue": len(dispatcher.queue),
        }
        doing = self.doing()
        if doing:
            document["doing"] = doing
        if life.reloading:
            document["reloading"] = True
        if pool.last_death_outline:
            document["last_worker_end"] = pool.last_death_outline
        if life.last_failure is not None:
            document["last_failure"] = self.failure()
        self._details.add_to_state(document)
        return document

    def doing(self) -> str:
        """Return what the oldest starting worker does and for how long, or when one starts."""
        kept_by = self._details.doing()
        if kept_by:
            return kept_by
        starting = [each for each in self._pool.workers if each.member.state == IS_STARTING]
        if not starting:
            pause = self._pause()
            return f"the next worker starts in {pause:.1f} s" if pause > 0 else ""
        oldest = min(starting, key=lambda worker: worker.member.started)
        seconds = time.monotonic() - oldest.member.started
        return f"{_STAGES.get(oldest.stage, oldest.stage)} for {seconds:.1f} s"

    def _pause(self) -> float:
        """Return the seconds until a missing worker starts; they grow if workers keep ending."""
        return self._life.next_start - time.monotonic() if self._life.missing() else 0.0

    def retry_after(self) -> float:
        """Return the seconds after which a client that was refused should ask again."""
        return math.ceil(max(RETRY_STARTING, self._pause()))

    def failure(self) -> dict[str, Any]:
        """Tell the last failed start by its stage and the error's class."""
        report = self._life.last_failure or {}
        stage, error = report.get("stage", ""), report.get("error_type", "")
        reference = report.get("reference", "")
        doing = _STAGES.get(stage, stage)
        what = f"The scoring process ended while {doing}"
        if error:
            what = f"{doing[:1].upper()}{doing[1:]} failed with {error}"
        message = see_log(what, reference)
        return {"stage": stage, "error": error, "reference": reference, "message": message}

    def refusal(self, message: str = "") -> NotReady:
        """Return the error for a request that can't be scored now; the message says why."""
        return NotReady(message or self.not_ready(), self.retry_after(), self.document())

    def not_ready(self) -> str:
        """Tell a client why its request can't be scored now."""
        if self.state == FAILED:
            return f"The entry script failed to start. {self.failure()['message']}"
        doing = self.doing()
        tail = f": {doing}" if doing else ""
        return f"No worker can score yet; the server is {self.state}{tail}. Try again later."


_STAGES: Final = {
    "starting": "starting a process",
    "debugger": "starting the debugger",
    "read": "reading the entry script",
    "import": "importing the entry script",
    "signature": "checking init() and run()",
    "model path": "looking for a model",
    "init()": "running init()",
    "describe": "describing the service",
    **dict.fromkeys(
        ("warm-up", "decode", "validate", "run", "encode"), "scoring the script's own sample"
    ),
}


class Numbers:
    """The numbers and names that ``/metrics`` reads when it is asked."""

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        dispatcher: Dispatcher,
        budget: ByteBudget,
        untaken: UntakenAnswers,
        connections: Sized,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._dispatcher = dispatcher
        self._budget = budget
        self._untaken = untaken
        self._connections = connections
        self._models: list[dict[str, str]] = []
        self._models_of = -1

    def gauges(self) -> dict[str, tuple[str, float]]:
        pool, dispatcher = self._pool, self._dispatcher
        allowed, waiting, busy = dispatcher.allowed, dispatcher.waiting, dispatcher.busy
        return {
            "scorehost_workers_ready": ("Workers that can score.", allowed),
            "scorehost_workers_wanted": ("Workers that should be running.", pool.lifecycle.wanted),
            "scorehost_requests_in_flight": (
                "Requests inside run() now, including those in workers about to stop.",
                sum(len(worker.in_flight.inside()) for worker in pool.workers),
            ),
            "scorehost_queue_length": ("Requests waiting for a worker now.", waiting),
            "scorehost_queue_bytes": ("Bytes of bodies held now.", self._budget.held),
            "scorehost_untaken_bytes": (
                "Bytes of answers that clients have not taken yet.",
                self._untaken.held,
            ),
            "scorehost_connections": ("Connections open now.", len(self._connections)),
            "scorehost_utilisation": (
                "Busy and queued requests per ready worker; scale on this. May exceed 1.",
                (busy + waiting) / allowed if allowed else 0.0,
            ),
            "scorehost_worker_memory_bytes": (
                "Resident memory of all scoring processes.",
                sum(worker.memory() for worker in pool.workers),
            ),
        }

    def build(self) -> dict[str, str]:
        return {
            "version": __version__,
            "entry_script": self._settings.script.name,
            "service_name": self._settings.service_name,
            "service_version": self._settings.service_version,
            "generation": str(self._pool.lifecycle.generation),
        }

    def models(self) -> list[dict[str, str]]:
        """Return each model's name and highest version; they are read again after a reload."""
        if self._models_of != self._pool.lifecycle.generation:
            self._models_of = self._pool.lifecycle.generation
            folder = self._settings.root / MODELS_FOLDER
            found = {name: versions(folder / name) for name in model_names(folder)}
            self._models = [
                {"name": name, "version": str(numbers[-1])}
                for name, numbers in found.items()
                if numbers
            ]
        return self._models
