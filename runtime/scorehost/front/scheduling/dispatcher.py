"""From one queue to the scoring workers.

Theory of operation. There is one queue for all workers, in the order of arrival. A worker that is
idle is given the first request at once. A worker also gets a few more *written ahead* into its
socket while ``run()`` is short, so that it need not wait for the front between two of them: as
many as take :data:`AHEAD` together by the slowest recent ``run()``, at most :data:`DEEPEST`. The
socket makes that safe. Receiving a packet is the one act of beginning it, and the front holds the
worker's end too, so whatever the worker has not begun can be taken back, and nothing is ever
begun twice.

* *Taken back* is what was written ahead when its worker dies, retires, or stays in one request
  for :data:`STALL` while others could take it or a longest wait is set. It goes back into the
  queue where its arrival puts it.
* *In flight* is known by number (``in_flight.py``). The first of a worker's requests are inside
  as far as the front can know; their deadline counts from the moment when the worker could begin
  them.
* *A deadline* answers the client first, and marks the request as a victim before that, so that a
  worker which has not begun it never will. What counts as inside is left to the worker even if it
  has not begun it: then it stands still outside of any request, and must be killed for something.
* *Timers* are few: one for each worker, which moves itself on, one for the longest wait, one for
  stalls. None is made for a request.
* While a debugger is attached, no deadline passes and no queue is full.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Final

from scorehost.errors import DeadlineExceeded, NotReady, RequestError
from scorehost.front.clock import Clock
from scorehost.front.http.exchange import DONE, WAITING, WRITTEN, Exchange
from scorehost.front.scheduling.in_flight import WIDTH
from scorehost.front.scheduling.queue_limits import QueueLimits
from scorehost.front.workers.handle import WorkerHandle
from scorehost.settings import Settings

AHEAD: Final = 0.001
"""Seconds of work that may be written ahead. A request that finds an idle worker elsewhere
waits this long at most, and STALL once when run() was suddenly slow."""
DEEPEST: Final = 32
"""docs/decisions/write-ahead.md has the measurement."""
OVERHEAD: Final = 20e-6
"""Seconds that a request costs a worker besides run()."""
STALL: Final = 0.004
"""Seconds in one request after which those written behind it are taken back."""


class Dispatcher:
    """One queue, many workers.

    Parameters
    ----------
    limits : the queue's, with the refusals of what is over one.
    fail : answers a request with an error.
    expired : frees a worker whose request is past its deadline, after the client's answer.
    """

    def __init__(
        self,
        settings: Settings,
        limits: QueueLimits,
        clock: Clock,
        fail: Callable[[Exchange, RequestError], None],
        expired: Callable[[WorkerHandle, Exchange], None],
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._fail = fail
        self._expired = expired
        self.queue: deque[Exchange] = deque()
        self.serving: list[WorkerHandle] = []
        self.deadlines_suspended = False
        self._number = 0
        self._limit = settings.scoring_timeout_ms / 1000
        self._limit_ms = settings.scoring_timeout_ms
        longest = settings.max_queue_wait_ms
        self._wait = None if longest is None else longest / 1000
        self._watching = False
        self._next_look = math.inf
        # With fewer requests than this the queue is not full, however many are written ahead.
        fixed = settings.max_queue_length is not None
        self._never_full = 0 if fixed else limits.queue_limit(1) - DEEPEST

    # -- in -----------------------------------------------------------------------------------

    def submit(self, exchange: Exchange) -> None:
        """Give a request to a worker, or put it in the queue, or refuse it."""
        exchange.queued = self._clock.now()
        queue = self.queue
        worker = None if queue else self._pick()
        waits = worker is None or worker.in_flight  # in the queue, or written ahead
        if waits and len(queue) >= self._never_full and self._is_full(exchange):
            return
        if worker is not None and self._write(worker, exchange):
            return
        exchange.state = WAITING
        queue.append(exchange)
        if self._wait is not None:
            self._watch_waiting()

    @property
    def has_room(self) -> bool:
        """Whether another request would be taken now."""
        return bool(self.serving) and self.waiting < self._limits.queue_limit(self.allowed)

    def _is_full(self, exchange: Exchange) -> bool:
        """Refuse the request if the queue is full."""
        waiting, allowed = self.waiting, self.allowed
        if self.suspended() or waiting < self._limits.queue_limit(allowed):
            return False
        self._fail(exchange, self._limits.queue_full(waiting, allowed, self.retry_after()))
        return True

    def pump(self) -> None:
        """Give waiting requests to workers that have room."""
        queue = self.queue
        while queue:
            worker = self._pick()
            if worker is None:
                return
            exchange = queue.popleft()
            if not self._write(worker, exchange):
                queue.appendleft(exchange)
                return

    def _pick(self) -> WorkerHandle | None:
        """Return an idle worker, else the one with the most room; None when all are full."""
        serving = self.serving
        if len(serving) == 1:
            worker = serving[0]
            return worker if len(worker.in_flight) < worker.depth else None
        best, most = None, 0
        for worker in serving:
            in_flight = len(worker.in_flight)
            if not in_flight:
                return worker
            room = worker.depth - in_flight
            if room > most:
                best, most = worker, room
        return best

    def _write(self, worker: WorkerHandle, exchange: Exchange) -> bool:
        self._number = number = exchange.number = self._number + 1
        try:
            if not worker.write(exchange):
                return False
        except RequestError as error:
            self._fail(exchange, error)
            return True
        exchange.state = WRITTEN
        in_flight = worker.in_flight
        in_flight[number] = exchange
        if len(in_flight) <= WIDTH:
            exchange.begun = exchange.timed_from = self._clock.now()
            self._watch_deadline(worker)
        elif not self._watching:
            self._watching = True
            self._clock.later(STALL, self._look_for_stalls)
        return True

    # -- out ----------------------------------------------------------------------------------

    def answered(self, worker: WorkerHandle, count: int, slowest: int, now: float) -> None:
        """Account for a worker's answers, and give it what that makes room for.

        Parameters
        ----------
        worker : has answered; the requests are no longer in its ``in_flight``.
        count : how many it has answered.
        slowest : the longest of their times in ``run()`` (ns), -1 when it never returned.
        now : seconds on the monotonic clock.
        """
        worker.scored += count
        if worker.in_flight:
            self._begin(worker, now)
            self._watch_deadline(worker)
        if slowest >= 0:
            worker.learn(slowest)
            worker.depth = max(1, min(DEEPEST, int(AHEAD / (worker.run_time + OVERHEAD))))
        if self.queue:
            self.pump()

    @staticmethod
    def _begin(worker: WorkerHandle, now: float) -> None:
        """Note the beginning of the requests that the worker can be in now."""
        for exchange in worker.in_flight.inside():
            if not exchange.begun:
                exchange.begun = exchange.timed_from = now

    def is_first(self, exchange: Exchange) -> bool:
        """Whether a worker is in this exchange, or begins it next."""
        return any(worker.in_flight.is_inside(exchange.number) for worker in self.serving)

    def remove(self, exchange: Exchange) -> bool:
        """Take out a request whose client has left; False if a worker has begun it."""
        if exchange.state == WAITING:
            self.queue.remove(exchange)
            return True
        for worker in self.serving:
            if exchange.number in worker.in_flight:
                self.take_back(worker)
                if exchange.state == WAITING:
                    self.queue.remove(exchange)
                self.pump()
                return exchange.number not in worker.in_flight
        return False

    def take_back(self, worker: WorkerHandle) -> None:
        """Put what the worker has not begun back into the queue, in order."""
        in_flight = worker.in_flight
        back = in_flight.take(worker.take_back())
        for exchange in back:
            if exchange.state != DONE:  # answered at its deadline, before it was begun
                exchange.begun = 0.0
                exchange.state = WAITING
        self._put_back([each for each in back if each.state == WAITING])
        if in_flight:  # it may have begun another one than was next
            self._begin(worker, self._clock.now())
        if self.queue:
            self._watch_waiting()

    def _put_back(self, back: list[Exchange]) -> None:
        """Put requests back where their arrival puts them in the queue."""
        queue = self.queue
        if queue and back and back[-1].queued > queue[0].queued:  # another worker's arrived before
            back = sorted((*back, *queue), key=attrgetter("queued"))
            queue.clear()
        queue.extendleft(reversed(back))

    def add(self, worker: WorkerHandle) -> None:
        """Give the worker requests from now on."""
        self.serving.append(worker)
        self.pump()

    def retire(self, worker: WorkerHandle) -> None:
        """Give the worker nothing more; it finishes what it has begun."""
        if worker in self.serving:
            self.serving.remove(worker)
        self.take_back(worker)
        self.pump()

    def lost(self, worker: WorkerHandle) -> list[Exchange]:
        """Forget a worker that has ended; return the requests that were inside it."""
        self.retire(worker)
        inside = list(worker.in_flight.values())
        worker.in_flight.clear()
        return inside

    def refuse_all(self, error: NotReady) -> None:
        """Refuse everything in the queue, as no worker will take it."""
        while self.queue:
            self._fail(self.queue.popleft(), error)

    # -- numbers ------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Requests in the queue or written ahead, not begun."""
        waiting = len(self.queue)
        for worker in self.serving:
            waiting += max(0, len(worker.in_flight) - WIDTH)
        return waiting

    @property
    def busy(self) -> int:
        return sum(min(WIDTH, len(worker.in_flight)) for worker in self.serving)

    @property
    def allowed(self) -> int:
        """Requests that may be in ``run()`` at once."""
        return WIDTH * len(self.serving)

    @property
    def run_time(self) -> float:
        """The longest recent ``run()`` of all workers (seconds), unfinished ones included."""
        now, longest = self._clock.now(), 0.0
        for worker in self.serving:
            under_way = now - worker.in_flight.first.timed_from if worker.in_flight else 0.0
            longest = max(longest, worker.run_time, under_way)
        return longest

    def retry_after(self) -> float:
        """Estimate the seconds until what waits now has been scored."""
        return self._limits.retry_after(self.waiting, self.allowed, self.run_time)

    def overdue(self, now: float) -> list[WorkerHandle]:
        """Return the workers that have been in one request for longer than STALL.

        A worker that has not even begun it only lacks a CPU: that is no sign of a slow ``run()``,
        and what is written ahead would be begun no sooner elsewhere.
        """
        return [
            worker
            for worker in self.serving
            if len(worker.in_flight) > WIDTH
            and now - worker.in_flight.first.timed_from >= STALL
            and worker.shared.begun == worker.in_flight.first.number
            and now - worker.shared.begun_at_ns * 1e-9 >= STALL
        ]

    def suspended(self) -> bool:
        """Whether a debugger is attached: time spent at a breakpoint does not count."""
        return self.deadlines_suspended or any(worker.shared.debugged for worker in self.serving)

    # -- watching -----------------------------------------------------------------------------

    def _look_for_stalls(self) -> None:
        now = self._clock.now()
        for worker in self.overdue(now):
            worker.run_time = max(worker.run_time, now - worker.in_flight.first.timed_from)
            worker.depth = 1
            if len(self.serving) > 1 or self._wait is not None:
                self.take_back(worker)
        self.pump()
        self._watching = any(len(worker.in_flight) > WIDTH for worker in self.serving)
        if self._watching:
            self._clock.later(STALL, self._look_for_stalls)

    def _watch_waiting(self) -> None:
        """Set a timer for the end of the first request's wait; a timer too many does no harm."""
        if self._wait is None or not self.queue:
            return
        due = self.queue[0].queued + self._wait
        if due < self._next_look:
            self._next_look = due
            self._clock.later(max(0.0, due - self._clock.now()), self._end_waits)

    def _end_waits(self) -> None:
        """Refuse what has waited for too long; the queue is in the order of arrival."""
        self._next_look = math.inf
        if self._wait is None:
            return
        now = self._clock.now()
        if self.suspended():
            for exchange in self.queue:
                exchange.queued = now
        while self.queue and now - self.queue[0].queued >= self._wait:
            exchange = self.queue.popleft()
            waited = now - exchange.queued
            self._fail(
                exchange,
                self._limits.waited_too_long(waited, len(self.queue) + 1, self.retry_after()),
            )
        self._watch_waiting()

    def _watch_deadline(self, worker: WorkerHandle) -> None:
        """Set the worker's one timer, which moves itself on: none is made for a request."""
        if not worker.deadline_watched:
            worker.deadline_watched = True
            self._clock.later(self._limit, self._check_deadline, worker)

    def _keep_what_is_inside(self, worker: WorkerHandle) -> None:
        """Take back all but what counts as inside, even if the worker has not begun that.

        Such a worker stands still outside of any request. With the request left to it, it counts
        as busy, and is killed if it does not move.
        """
        inside = worker.in_flight.inside()
        self.take_back(worker)
        for exchange in reversed(inside):
            if exchange.state == WAITING and worker.write(exchange):
                self.queue.remove(exchange)
                exchange.state = WRITTEN
                worker.in_flight.put_first(exchange)

    def _check_deadline(self, worker: WorkerHandle) -> None:
        """Expire what has been inside for too long; check again when the next one is due."""
        worker.deadline_watched = False
        now = self._clock.now()
        suspended: bool | None = None
        due = math.inf
        for exchange in worker.in_flight.inside():
            left = exchange.timed_from + self._limit - now
            if left <= 0:
                if suspended is None:
                    suspended = self.suspended()
                if suspended:
                    exchange.timed_from, left = now, self._limit
                elif not exchange.expired:
                    self._expire(worker, exchange)
            if left > 0:
                due = min(due, left)
        if due < math.inf and not worker.deadline_watched:
            worker.deadline_watched = True
            self._clock.later(max(due, 0.05), self._check_deadline, worker)

    def _expire(self, worker: WorkerHandle, exchange: Exchange) -> None:
        """Answer a request that is past its deadline, and have its worker freed."""
        # Before the client hears of it: from now on the worker must not begin it.
        exchange.expired = True
        worker.shared.victim = exchange.number
        worker.run_time = max(worker.run_time, self._limit)
        worker.depth = 1
        self._keep_what_is_inside(worker)
        if exchange.state != DONE:
            self._fail(exchange, DeadlineExceeded(self._limit_ms))
        self._expired(worker, exchange)
        self.pump()
