"""Room for one more worker: started one by one, as the container's memory allows."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from scorehost.front.observe.log import Log
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.workers.capacity import Memory, Plan, measure, mib, workers_text
from scorehost.front.workers.launcher import Launcher

if TYPE_CHECKING:
    from scorehost.front.workers.pool import Pool


class Room:
    """Measures the workers there are before another is started.

    Parameters
    ----------
    pool : has the workers.
    plan : how many there may be, and the memory for them.
    loop : the front's event loop, which does not wait for the measuring.
    dispatcher : knows which workers serve.
    launcher : divides the CPUs among as many workers as there will be.
    log : told.
    """

    def __init__(
        self,
        pool: Pool,
        plan: Plan,
        loop: asyncio.AbstractEventLoop,
        dispatcher: Dispatcher,
        launcher: Launcher,
        log: Log,
    ) -> None:
        self._pool = pool
        self._plan = plan
        self._loop = loop
        self._dispatcher = dispatcher
        self._launcher = launcher
        self._log = log
        self._measuring: asyncio.Task[None] | None = None
        self._settled_for = 0

    def start_if_it_fits(self, limit: int) -> None:
        """Start one more worker, in a moment, if it fits into ``limit`` (bytes)."""
        if not self.measuring and not self._pool.any_starting():
            self._measuring = self._loop.create_task(self._measure(limit))

    @property
    def measuring(self) -> bool:
        """Whether that is being found out."""
        return self._measuring is not None

    async def _measure(self, limit: int) -> None:
        """Measure what there is, away from the event loop; start one more, or settle for these."""
        pool = self._pool
        newest = max(pool.counted(), key=lambda worker: worker.ready_at, default=None)
        pids = [os.getppid(), os.getpid(), *(worker.pid for worker in pool.workers if worker.pid)]
        pid = newest.pid if newest is not None else 0
        memory = await self._loop.run_in_executor(None, measure, pids, pid)
        self._measuring = None
        if not memory.another or pool.any_starting():
            pool.fill()  # things have changed since
        elif not pool.stopping and pool.missing():
            self._decide(memory, limit)

    def _decide(self, memory: Memory, limit: int) -> None:
        pool = self._pool
        if memory.fits(limit):
            there = len(pool.counted())
            self._launcher.workers = min(self._plan.count, there + memory.how_many_more(limit))
            pool.start_one()
        elif pool.reloading:
            pool.switch()  # the others come when the old ones have made room
        else:
            self._settle(memory, limit)

    def _settle(self, memory: Memory, limit: int) -> None:
        """There is no room for another: these are enough."""
        pool = self._pool
        pool.wanted = self._launcher.workers = len(pool.counted())
        if pool.wanted != self._settled_for:
            self._settled_for = pool.wanted
            self._log.info(
                f"{workers_text(pool.wanted)} instead of {self._plan.count} (WORKER_COUNT=auto): "
                f"one more would need {mib(memory.another)}, {mib(memory.used)} of {mib(limit)} "
                "are in use, and a tenth is kept free for requests"
            )
        self._even_out()

    def _even_out(self) -> None:
        """Start a worker anew, in its place, that has a smaller share of the CPUs than is due."""
        serving = self._dispatcher.serving
        if self._pool.forks or len(serving) < 2:
            return
        for worker in serving:
            if worker.share > self._launcher.workers:
                self._log.info(
                    f"worker {worker.index} (pid {worker.pid}) is started anew with its share of "
                    "the CPUs"
                )
                self._pool.retire(worker)
                return
