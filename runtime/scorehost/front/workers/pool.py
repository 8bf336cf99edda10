"""The scoring workers: how many there are, and which of them serve.

A worker that ends is explained, counted, and replaced; those that keep ending are replaced
after a growing pause. New generations (a reload) and replacements (a worker that is recycled)
are started and proved beside the old ones, which serve until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from scorehost.backoff import QUIET, Backoff
from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.log import SCRIPT, Log
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.workers.capacity import Plan
from scorehost.front.workers.handle import READY, RETIRING, SERVING, STARTING, WorkerHandle
from scorehost.front.workers.launcher import Launcher
from scorehost.front.workers.processes import Processes
from scorehost.front.workers.recycling import Recycling
from scorehost.front.workers.reloading import Reloading
from scorehost.front.workers.room import Room
from scorehost.settings import Settings
from scorehost.wire import answers, requests
from scorehost.wire.answers import AnswerFrame

if TYPE_CHECKING:
    from scorehost.front.workers.deaths import End

_SOON: Final = 2.0
"""Seconds until the next start for which requests wait; before longer ones they are refused."""
_STOP_GRACE: Final = 5.0
"""Seconds an idle process may take to end before it is killed."""
_STACKS_TAKE: Final = 0.3
"""Seconds a process gets to write its stacks before it is killed."""
LOADER_LOST: Final = "loader"
"""The kernel ends workers that were forked when the process they were forked from ends."""


class Listener(Protocol):
    """Who is told what becomes of the workers."""

    def lost(self, exchange: Exchange, text: str) -> None:
        """A request was inside a worker that ended; the text is for its client."""

    def start_failed(self, report: dict[str, Any]) -> None:
        """The script has failed before anything could score; told once for each attempt."""

    def log_report(self, report: dict[str, Any]) -> None:
        """A later start has failed; others go on."""

    def nobody_serves(self) -> None:
        """No worker can score, and the last attempt to start one failed."""

    def worker_ended(self, reason: str, text: str) -> None:
        """A process has ended unasked; the text says why."""

    def reloaded(self, succeeded: bool) -> None:
        """A reload is over."""


class Pool:
    """Every scoring process of one server.

    Parameters
    ----------
    settings : limits and preload.
    plan : how many workers, and the memory that may lower it.
    loop : the front's event loop.
    dispatcher : gets the workers that can score.
    launcher : starts processes.
    log : where ends are explained.

    Attributes
    ----------
    wanted : scoring workers to keep.
    workers : every process, loaders included, until its end has been noticed.
    generation : rises with every reload.
    ever_ready : some worker has been able to score.
    failed : nothing can score, and the script is why.
    forks : new workers are forked from one that has run init().
    room : starts them as memory allows, where that is what limits their number.
    last_failure, last_death : report and text of the last failed start and the last end.
    next_start : when the next worker starts (seconds, monotonic), after a pause.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        loop: asyncio.AbstractEventLoop,
        dispatcher: Dispatcher,
        launcher: Launcher,
        log: Log,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self.wanted = plan.count
        self._loop = loop
        self._dispatcher = dispatcher
        self._launcher = launcher
        self._log = log
        self._processes = Processes(loop, launcher, log, self)
        self._recycling = Recycling(settings, log.warning)
        self._backoff = Backoff()
        self._reloading = Reloading(self, dispatcher, log, self._reloaded)
        self.room = Room(self, plan, loop, dispatcher, launcher, log)
        self.switch = self._reloading.switch
        self.forks = settings.worker_preload
        self.workers: list[WorkerHandle] = []
        self.generation = 0
        self.ever_ready = False
        self.failed = False
        self.stopping = False
        self.last_failure: dict[str, Any] | None = None
        self.last_death = ""
        self.description: dict[str, Any] = {}
        self.next_start = 0.0
        self.on_empty: Callable[[], None] | None = None
        self._index = 0
        self._refused = 0
        """Generation whose loader must not be forked."""
        self._oom_kills = plan.oom_kills

    # -- starting -----------------------------------------------------------------------------

    def start(
        self, hear: Callable[[WorkerHandle, Sequence[AnswerFrame]], None], listener: Listener
    ) -> None:
        """Start the first generation.

        Parameters
        ----------
        hear : takes what workers answer.
        listener : is told what becomes of them.
        """
        self.answered = hear
        self._listener = listener
        self.generation += 1
        self.fill()

    def _reloaded(self, succeeded: bool) -> None:
        self._listener.reloaded(succeeded)

    def fill(self) -> None:
        """Start the workers that are missing: all at once, or one by one as memory allows."""
        if self.stopping:
            return
        limit = self._plan.memory_bytes
        if limit is None or not self.counted():
            for _ in range(self.missing() if limit is None else 1):
                if not self.start_one():
                    return
        elif self.missing():
            self.room.start_if_it_fits(limit)

    def start_one(self, replaces: WorkerHandle | None = None) -> bool:
        """Start one scoring worker of the current generation; False if that can't be now."""
        loader = None
        if self.forks and self._refused != self.generation:
            loader = self._loader()
            if loader is None:
                self._start_loader()
                return False
            if loader.state == STARTING:
                return False  # fill() is called again when it is ready
        try:
            handle = self._new_handle()
            if loader is None:
                self._processes.start(handle)
            else:
                self._processes.fork(loader, handle)
        except OSError as error:
            self._cannot_start(error)
            return False
        handle.replaces = replaces
        self._watch(handle)
        return True

    def _start_loader(self) -> None:
        try:
            handle = self._new_handle()
            handle.is_loader = True
            self._processes.start(handle, "loader")
        except OSError as error:
            self._cannot_start(error)
            return
        self._watch(handle)

    def _new_handle(self) -> WorkerHandle:
        self._index += 1
        handle = WorkerHandle(self._index, self.generation)
        handle.share = self._launcher.workers
        handle.warms_up = self.reloading and self._settings.develops
        return handle

    def _watch(self, handle: WorkerHandle) -> None:
        self.workers.append(handle)
        limit = self._settings.worker_timeout
        if limit:
            self._loop.call_later(limit + self._settings.debug_wait, self._check_start, handle)

    def _check_start(self, handle: WorkerHandle) -> None:
        """End a process whose ``init()`` takes longer than WORKER_TIMEOUT."""
        if handle.state != STARTING or handle not in self.workers:
            return
        if self._dispatcher.suspended() or handle.shared.debugged:
            self._loop.call_later(self._settings.worker_timeout, self._check_start, handle)
        elif handle.stage == STARTING:  # it has not come so far that it could show its stacks
            handle.kill("start-timeout")
        else:
            handle.dump_stacks()
            self._loop.call_later(_STACKS_TAKE, handle.kill, "start-timeout")

    def _cannot_start(self, error: OSError) -> None:
        self.last_death = f"A scoring process could not be started: {error}."
        self._log.error(self.last_death)
        self._fill_later()

    def _fill_later(self) -> None:
        """Start what is missing: at once the first time, later and later when they keep dying."""
        now = time.monotonic()
        pause = self._backoff.after_end(now)
        self.next_start = now + pause
        if pause >= 1:
            self._log.warning(
                f"{self._backoff.recent} scoring processes have ended within {QUIET:.0f} s; "
                f"the next one starts in {pause:.0f} s"
            )
        self._loop.call_later(pause, self.fill)

    # -- which there are ----------------------------------------------------------------------

    def _loader(self) -> WorkerHandle | None:
        """The process to fork workers from now, if there is one."""
        for worker in self.workers:
            alive = worker.is_loader and worker.state in (STARTING, READY)
            if alive and worker.generation == self.generation:
                return worker
        return None

    def counted(self) -> list[WorkerHandle]:
        """Workers that count towards those wanted: replacements are not counted twice."""
        return [
            worker
            for worker in self.workers
            if worker.state in (STARTING, READY, SERVING)
            and not worker.is_loader
            and worker.replaces is None
            and (worker.generation == self.generation or not self.reloading)
        ]

    def missing(self) -> int:
        """Workers that should be there and have not even been started."""
        return max(0, self.wanted - len(self.counted()))

    def any_starting(self) -> bool:
        """Whether one of those that count is not ready yet."""
        return any(worker.state == STARTING for worker in self.counted())

    def _children_of(self, loader: WorkerHandle) -> list[WorkerHandle]:
        return [
            worker
            for worker in self.workers
            if worker.generation == loader.generation and not worker.is_loader
        ]

    def will_serve(self) -> bool:
        """Whether a request may wait for a worker although there is none."""
        soon = self.next_start - time.monotonic() <= _SOON
        return self.ever_ready and self.last_failure is None and soon

    # -- what processes say -------------------------------------------------------------------

    def control_frame(self, handle: WorkerHandle, frame: answers.AnswerFrame) -> None:
        """A process says something about itself."""
        if frame.kind == answers.STAGE:
            handle.stage = frame.body.decode()
            level = logging.DEBUG if self.ever_ready else logging.INFO
            text = f"{handle.stage}: {self._settings.script.name}"
            self._log.event(level, SCRIPT, text, pid=handle.pid)
        elif frame.kind == answers.READY:
            handle.pid = frame.number
            self._ready(handle, orjson.loads(frame.body))
        elif frame.kind == answers.FAILED:
            handle.report = orjson.loads(frame.body)
        elif frame.kind == answers.FORKED:
            self._forked(handle, frame)
        elif frame.kind == answers.CHILD_ENDED:
            code = int(orjson.loads(frame.body)["code"])
            for child in self._children_of(handle):
                if child.pid == frame.number:
                    self._processes.ended(child, code)

    def _forked(self, loader: WorkerHandle, frame: answers.AnswerFrame) -> None:
        if frame.number == loader.pid:
            self._loader_ready(loader, str(orjson.loads(frame.body)["refusal"]))
            return
        child = self._processes.forked(loader, frame.number)
        if not frame.number:
            self._log.error(f"the loader could not fork: {orjson.loads(frame.body)['error']}")
            self._processes.ended(child, 1)

    def _loader_ready(self, loader: WorkerHandle, refusal: str) -> None:
        if loader.state != STARTING:
            return  # it was told to end in the meantime
        loader.state = READY
        loader.ready_at = time.monotonic()
        loader.refusal = refusal
        if refusal:
            self._refused = loader.generation
            self._log.warning(
                f"WORKER_PRELOAD is set, but the workers are not forked: {refusal}. "
                "Each worker runs init() itself. To share the model, start no threads and no "
                "CUDA in init() or at import."
            )
            self.stop_worker(loader)
        self.fill()

    def _ready(self, handle: WorkerHandle, description: dict[str, Any]) -> None:
        if handle.state != STARTING:
            return  # it was told to end in the meantime
        handle.description = description
        handle.full = bool(description.get("full", True))
        handle.stage = "ready"
        handle.ready_at = time.monotonic()
        handle.state = READY
        self._recycling.begin(handle)
        if self._reloading.proves(handle):
            self._reloading.proved(handle)
        else:
            self.serve(handle)
            old, handle.replaces = handle.replaces, None
            if old is not None:
                self.retire(old)
        self.fill()

    def serve(self, handle: WorkerHandle) -> None:
        """Give requests to a worker from now on."""
        first = not self.ever_ready
        self.ever_ready = True
        self.failed = False
        self.last_failure = None
        self.description = handle.description
        handle.state = SERVING
        self._dispatcher.serving.append(handle)
        if first:
            seconds = time.monotonic() - handle.started
            self._log.info(f"ready to score after {seconds:.2f} s (worker pid {handle.pid})")
        else:
            self._log.debug(f"worker {handle.index} (pid {handle.pid}) is ready")
        self._dispatcher.pump()

    # -- reloading ----------------------------------------------------------------------------

    def reload(self, *, anew: bool = False) -> None:
        """Start a new generation beside the old; switch when all of it can score.

        Parameters
        ----------
        anew : give up a reload that is under way; otherwise another one follows it.
        """
        if not self.stopping:
            self._reloading.begin(anew=anew)

    @property
    def reloading(self) -> bool:
        """Whether a new generation is proved beside the old."""
        return self._reloading.active

    def plan_anew(self) -> None:
        """What kept workers out before may not any more."""
        self.failed = False
        self.wanted = self._plan.count

    # -- recycling ----------------------------------------------------------------------------

    def after_answer(self, worker: WorkerHandle) -> None:
        """Recycle a worker that has scored its share; end one that was only finishing."""
        if worker.state == RETIRING:
            if not worker.outstanding:
                self.stop_worker(worker)
        elif worker.recycle_at and worker.scored >= worker.recycle_at:
            self.recycle(worker, f"it has scored {worker.scored} requests")

    def check_memory(self) -> None:
        """Note peaks; recycle workers above their mark. Called once a second."""
        for worker in list(self.workers):
            size = worker.memory()
            worker.peak_bytes = max(worker.peak_bytes, size)
            if worker.state == SERVING:
                why = self._recycling.too_large(worker, size)
                if why:
                    self.recycle(worker, why)

    def recycle(self, worker: WorkerHandle, why: str) -> None:
        """Start a replacement; the worker serves until that is ready."""
        paused = time.monotonic() < self.next_start
        if worker.recycling or self.stopping or self.reloading or paused:
            return  # it is asked for again, at its next answer or in a second
        in_place = self.wanted < self._plan.count and len(self._dispatcher.serving) > 1
        if in_place or self.start_one(replaces=worker):
            worker.recycling = True
            self._log.info(f"worker {worker.index} (pid {worker.pid}) is replaced: {why}")
        if in_place:
            self.retire(worker)  # memory is what limits their number: there is no room beside it

    def retire(self, worker: WorkerHandle) -> None:
        """Let a worker finish what it has begun, then end it."""
        if worker.is_loader:
            return  # it ends after its children
        if worker.state == SERVING:
            self._dispatcher.retire(worker)
            if not worker.outstanding:
                self.stop_worker(worker)
        elif worker.state == STARTING:
            self.stop_worker(worker, now=True)

    # -- ending -------------------------------------------------------------------------------

    def stop_worker(self, worker: WorkerHandle, *, now: bool = False) -> None:
        """End one process: asked, or killed when it must not go on."""
        worker.state = RETIRING
        if now:
            worker.kill("stopped")
            return
        with contextlib.suppress(OSError):
            worker.send_control(requests.STOP)
        self._loop.call_later(_STOP_GRACE, worker.kill, "stopped")

    def stop(self) -> None:
        """End every process; ``on_empty`` is called when the last one is gone.

        Whatever is still inside a worker, or only starting, is not waited for.
        """
        self.stopping = True
        for worker in list(self.workers):
            if not (worker.is_loader and worker.state == READY):
                busy = worker.state == STARTING or bool(worker.outstanding)
                self.stop_worker(worker, now=busy)
        self.stop_idle_loaders()
        self._tell_if_empty()

    def kill_all(self) -> None:
        """End every process at once."""
        self.stopping = True
        for worker in list(self.workers):
            worker.kill("stopped")

    def process_ended(self, handle: WorkerHandle, code: int) -> None:
        """A process has ended: give its requests on, explain, replace."""
        expected = handle.state == RETIRING
        self.workers.remove(handle)
        inside = self._dispatcher.lost(handle)
        end = None if expected and not inside else self._explain(handle, code, inside)
        if end is not None and handle.report is None:
            self.last_death = end.text  # first: debug mode tells it those who were inside
        for exchange in inside:
            self._listener.lost(exchange, end.client_text if end else "")
        if handle.is_loader and not handle.refusal:
            self._loader_lost(handle)
        if end is None or self.stopping:
            kind = "loader" if handle.is_loader else f"worker {handle.index}"
            self._log.debug(f"{kind} (pid {handle.pid}) has ended")
            self._room_was_made()
        else:
            self._unexpected(handle, end)
        self.stop_idle_loaders()
        self._tell_if_empty()

    def _loader_lost(self, loader: WorkerHandle) -> None:
        """The kernel ends its children with it; nobody else would notice them end."""
        for child in self._children_of(loader):
            child.kill(LOADER_LOST)
            self._processes.ended(child, -signal.SIGKILL)

    def stop_idle_loaders(self) -> None:
        """End the loaders whose children have ended; before that they would take them along."""
        current = None if self.stopping else self._loader()
        for worker in list(self.workers):
            idle = worker.is_loader and worker.state == READY and not self._children_of(worker)
            if idle and worker is not current:
                self.stop_worker(worker)

    def _tell_if_empty(self) -> None:
        if self.stopping and not self.workers and self.on_empty is not None:
            self.on_empty()

    def _room_was_made(self) -> None:
        """A worker has gone as it was meant to: whoever was kept out for want of memory may fit."""
        if self._plan.memory_bytes is not None and not self.stopping and not self.reloading:
            self.wanted = self._plan.count
            self.fill()

    # -- unexpected ends ----------------------------------------------------------------------

    def _explain(self, handle: WorkerHandle, code: int, inside: list[Exchange]) -> End:
        from scorehost.front.workers.deaths import (
            explain_end,  # not before the first death: it knows much
        )

        end = explain_end(
            handle,
            code,
            request_id=inside[0].request_id.decode("latin-1") if inside else "",
            output="\n".join(handle.last_lines),
            settings=self._settings,
            oom_before=self._oom_kills,
        )
        self._oom_kills = end.oom_kills
        return end

    def _unexpected(self, handle: WorkerHandle, end: End) -> None:
        """A process ended that was not told to: say why, and replace it."""
        self._listener.worker_ended(end.reason, end.text)
        report = handle.report or end.report
        if handle.ready_at:
            self._log.error(end.text, reason=end.reason)
        elif not self.ever_ready:
            self._first_start_failed(report)
            return
        else:
            self.last_failure = report
            self._listener.log_report(report)
        if self._reloading.proves(handle):
            self._reloading.failed(report)
            return
        self._replace(handle)

    def _first_start_failed(self, report: dict[str, Any]) -> None:
        self.last_failure = report
        if not self.failed:
            self.failed = True
            self._listener.start_failed(report)

    def _replace(self, handle: WorkerHandle) -> None:
        serving = self._dispatcher.serving
        if handle.replaces is not None:
            handle.replaces.recycling = False  # it is tried again, after the pause
        for worker in self.workers:
            if worker.replaces is handle:
                worker.replaces = None  # what was to replace it does so already
        if self.reloading and not serving:
            self._reloading.nothing_to_compare()
        if handle.kill_reason != LOADER_LOST:  # those count as one end with their loader's
            self._fill_later()
        if not serving and not self.will_serve():
            self._listener.nobody_serves()
