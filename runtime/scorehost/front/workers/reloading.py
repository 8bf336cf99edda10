"""A new generation of workers beside the old: proved first, then switched to, all at once.

If anything of it ends before that, the old one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scorehost.front.observe.log import Log
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.workers.handle import READY, STARTING, WorkerHandle

if TYPE_CHECKING:
    from scorehost.front.workers.pool import Pool


class Reloading:
    """From the wish for a reload to its end.

    Parameters
    ----------
    pool : has the workers.
    dispatcher : knows which of them serve.
    log : told.
    over : called at the end, with whether the new generation serves.

    Attributes
    ----------
    active : a new generation is being proved.
    """

    def __init__(
        self, pool: Pool, dispatcher: Dispatcher, log: Log, over: Callable[[bool], None]
    ) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._log = log
        self._over = over
        self._again = False
        self.active = False

    def begin(self, *, anew: bool) -> None:
        """Start a new generation; ``anew``: give up the one that is under way."""
        pool = self._pool
        if self.active and anew:
            self.active = False
            for worker in self._new():
                pool.stop_worker(worker, now=True)
        if self.active:
            self._again = True
            return
        self._log.info("reloading: new workers are starting beside the old")
        self._stop_starting()  # they may be half way through what has just changed
        pool.generation += 1
        self.active = bool(self._dispatcher.serving)
        pool.plan_anew()
        pool.fill()
        pool.stop_idle_loaders()

    def _stop_starting(self) -> None:
        for worker in list(self._pool.workers):
            if worker.replaces is not None:
                worker.replaces.recycling, worker.replaces = False, None
            if worker.state == STARTING:
                self._pool.stop_worker(worker, now=True)

    def _new(self) -> list[WorkerHandle]:
        pool = self._pool
        return [
            worker
            for worker in pool.workers
            if worker.generation == pool.generation and not worker.is_loader
        ]

    def proves(self, worker: WorkerHandle) -> bool:
        """Whether this worker is of the generation that is being proved."""
        return self.active and worker.generation == self._pool.generation

    def proved(self, worker: WorkerHandle) -> None:
        """A new worker can score: switch if it was the last."""
        self._log.debug(f"worker {worker.index} (pid {worker.pid}) is proved")
        new = self._new()
        if len(new) >= self._pool.wanted and all(each.state == READY for each in new):
            self.switch()

    def switch(self) -> None:
        """The new generation has proved itself: it serves, and the old one goes."""
        pool = self._pool
        self.active = False
        old = [worker for worker in pool.workers if worker.generation < pool.generation]
        new = [worker for worker in self._new() if worker.state == READY]
        for worker in new:
            pool.serve(worker)
        for worker in old:
            pool.retire(worker)
        count = f"{len(new)} new workers serve" if len(new) != 1 else "1 new worker serves"
        self._log.info(f"reloaded: {count}")
        self._end(succeeded=True)

    def failed(self, report: dict[str, Any]) -> None:
        """Something of the new generation has ended: the old one stays."""
        pool = self._pool
        self.active = False
        pool.last_failure = report
        for worker in list(pool.workers):
            if worker.generation == pool.generation:
                pool.stop_worker(worker, now=True)
        pool.generation = max(worker.generation for worker in self._dispatcher.serving)
        self._log.error("the reload failed; the workers from before go on serving")
        self._end(succeeded=False)
        pool.fill()

    def nothing_to_compare(self) -> None:
        """None of the old generation is left: the new workers serve as soon as each can."""
        self.active = False
        for worker in self._new():
            if worker.state == READY:
                self._pool.serve(worker)
        self._end(succeeded=True)

    def _end(self, *, succeeded: bool) -> None:
        self._over(succeeded)
        self._pool.stop_idle_loaders()
        if self._again:
            self._again = False
            self._pool.reload()
