"""What is read at the moment of a scrape: how busy the server is, what it is, its models."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING

from scorehost import __version__
from scorehost.front.admission import Admission
from scorehost.front.dispatch import Dispatcher
from scorehost.model_store import MODELS_FOLDER, model_names, versions
from scorehost.settings import Settings

if TYPE_CHECKING:
    from scorehost.front.pool import Pool


class Numbers:
    """Reads them.

    Parameters
    ----------
    settings : names of script and service.
    pool, dispatcher, admission, connections : are asked.
    """

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        dispatcher: Dispatcher,
        admission: Admission,
        connections: Sized,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._dispatcher = dispatcher
        self._admission = admission
        self._connections = connections
        self._models: list[dict[str, str]] = []
        self._models_of = -1

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Help and value by name."""
        pool, dispatcher = self._pool, self._dispatcher
        allowed, waiting, busy = dispatcher.allowed, dispatcher.waiting, dispatcher.busy
        return {
            "scorehost_workers_ready": ("Workers that can score.", allowed),
            "scorehost_workers_wanted": ("Workers that should be there.", pool.wanted),
            "scorehost_requests_in_flight": (
                "Requests inside run() now, also in workers that are about to go.",
                sum(1 for worker in pool.workers if worker.outstanding),
            ),
            "scorehost_queue_length": ("Requests waiting for a worker now.", waiting),
            "scorehost_queue_bytes": ("Bytes of bodies held now.", self._admission.bytes_held),
            "scorehost_connections": ("Connections open now.", len(self._connections)),
            "scorehost_utilisation": (
                "Busy and queued requests for each ready worker; scale on this. May exceed 1.",
                (busy + waiting) / allowed if allowed else 0.0,
            ),
            "scorehost_worker_memory_bytes": (
                "Resident memory of all scoring processes.",
                sum(worker.memory() for worker in pool.workers),
            ),
        }

    def build(self) -> dict[str, str]:
        """Versions and names."""
        return {
            "version": __version__,
            "entry_script": self._settings.script.name,
            "service_name": self._settings.service_name,
            "service_version": self._settings.service_version,
            "generation": str(self._pool.generation),
        }

    def models(self) -> list[dict[str, str]]:
        """Name and highest version of each model in the app root; looked for at each reload."""
        if self._models_of != self._pool.generation:
            self._models_of = self._pool.generation
            folder = self._settings.root / MODELS_FOLDER
            found = {name: versions(folder / name) for name in model_names(folder)}
            self._models = [
                {"name": name, "version": str(numbers[-1])}
                for name, numbers in found.items()
                if numbers
            ]
        return self._models
