"""Freeing a worker whose request is past its deadline; its client has the 504 already.

Python code is interrupted. A worker in native code that does not return within the grace time is
killed. The log has the stacks, and tells which of the two happened (docs/limits.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.log import Log
from scorehost.front.workers.handle import WorkerHandle
from scorehost.settings import Settings

STACKS_TAKE: Final = 0.1
"""Seconds that faulthandler may take to write the stacks of a process."""
AGAIN: Final = 0.05
"""Seconds until a worker that is still in the request is interrupted again."""


class Deadlines:
    """Interrupts workers, and kills those that can't be interrupted."""

    def __init__(self, settings: Settings, log: Log, later: Callable[..., object]) -> None:
        self._settings = settings
        self._log = log
        self._later = later
        self._unlogged: set[int] = set()
        """Numbers of the requests whose stacks are being written."""

    def expired(self, worker: WorkerHandle, exchange: Exchange) -> None:
        """Free a worker that is still in this request."""
        worker.go_on()  # it may be blocked in a chunk that its client does not take
        worker.read_stacks()
        worker.dump_stacks()
        self._unlogged.add(exchange.number)
        self._interrupt(worker, exchange.number)
        self._later(STACKS_TAKE, self._log_stacks_at_last, worker, exchange)
        self._later(self._settings.interrupt_grace, self._kill_if_inside, worker, exchange)

    def came_out(self, worker: WorkerHandle, exchange: Exchange, how: str) -> None:
        """Log that a worker is out of this request, after its stacks; ``how`` is a verb phrase."""
        if exchange.number in self._unlogged and (stacks := worker.read_stacks()):
            self._log_stacks(worker, exchange, stacks)  # later ones may be another request's
        self._log.warning(
            f"worker {worker.index} (pid {worker.pid}) {how} after its deadline and continues",
            request_id=exchange.request_id.decode("latin-1"),
        )

    def _interrupt(self, worker: WorkerHandle, number: int) -> None:
        """Interrupt again and again: Python may enter a system call just after noting a signal."""
        if worker.in_flight.is_inside(number) and not worker.kill_reason:
            worker.interrupt(number)
            self._later(AGAIN, self._interrupt, worker, number)

    def _log_stacks_at_last(self, worker: WorkerHandle, exchange: Exchange) -> None:
        if exchange.number not in self._unlogged:
            return
        if worker.returncode is None:
            self._log_stacks(worker, exchange, worker.read_stacks())
        else:  # the report on its end has them
            self._unlogged.remove(exchange.number)

    def _log_stacks(self, worker: WorkerHandle, exchange: Exchange, stacks: str) -> None:
        self._unlogged.remove(exchange.number)
        self._log.error(
            f"the deadline of {self._settings.scoring_timeout_ms} ms has passed in worker "
            f"{worker.index} (pid {worker.pid}). Stacks of the worker:\n{stacks.rstrip()}",
            request_id=exchange.request_id.decode("latin-1"),
        )

    def _kill_if_inside(self, worker: WorkerHandle, exchange: Exchange) -> None:
        grace = self._settings.interrupt_grace
        if worker.in_flight.is_inside(exchange.number):
            self._log.error(
                f"worker {worker.index} (pid {worker.pid}) did not stop within {grace:g} s after "
                "its deadline; killing and replacing it",
                request_id=exchange.request_id.decode("latin-1"),
            )
            worker.kill("deadline")
