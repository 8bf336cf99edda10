"""Freeing a worker whose request has had its time; its client has the 504 already.

Python code is interrupted. Native code that does not come back within the grace time costs the
worker its life. The log has the stacks, and which of the two it was (docs/limits.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.log import Log
from scorehost.front.workers.handle import WorkerHandle
from scorehost.settings import Settings

STACKS_TAKE: Final = 0.1
"""Seconds in which faulthandler writes the stacks of a process."""
AGAIN: Final = 0.05
"""Seconds until a worker that is still inside is interrupted once more."""


class Deadlines:
    """Interrupts, and kills what cannot be interrupted.

    Parameters
    ----------
    settings : the deadline and the grace time.
    log : gets the stacks.
    later : calls a function after some seconds.
    """

    def __init__(self, settings: Settings, log: Log, later: Callable[..., object]) -> None:
        self._settings = settings
        self._log = log
        self._later = later

    def expired(self, worker: WorkerHandle, exchange: Exchange) -> None:
        """Free a worker that is still in this request."""
        worker.go_on()  # it may stand in a chunk that nobody takes
        number, request_id = exchange.number, exchange.request_id.decode("latin-1")
        worker.read_stacks()
        worker.dump_stacks()
        self._interrupt(worker, number)
        self._later(STACKS_TAKE, self._log_stacks, worker, request_id)
        grace = self._settings.interrupt_grace
        self._later(grace, self._kill_if_inside, worker, number, request_id)

    def _interrupt(self, worker: WorkerHandle, number: int) -> None:
        """Until it is out: Python may enter a system call just after it has noted a signal."""
        if self._is_inside(worker, number) and not worker.kill_reason:
            worker.interrupt(number)
            self._later(AGAIN, self._interrupt, worker, number)

    @staticmethod
    def _is_inside(worker: WorkerHandle, number: int) -> bool:
        return worker.in_flight.is_inside(number)

    def _log_stacks(self, worker: WorkerHandle, request_id: str) -> None:
        if worker.returncode is not None:
            return
        stacks = worker.read_stacks()
        self._log.error(
            f"the deadline of {self._settings.scoring_timeout_ms} ms has passed in worker "
            f"{worker.index} (pid {worker.pid}); its stacks:\n{stacks.rstrip()}",
            request_id=request_id,
        )

    def _kill_if_inside(self, worker: WorkerHandle, number: int, request_id: str) -> None:
        if self._is_inside(worker, number):
            self._log.error(
                f"worker {worker.index} (pid {worker.pid}) did not come back to Python within "
                f"{self._settings.interrupt_grace:g} s of its deadline; it is killed and replaced",
                request_id=request_id,
            )
            worker.kill("deadline")
