"""The scoring processes: started, watched, replaced, reloaded, ended.

A process that ends is explained, counted, and replaced while there is work; one that keeps
ending is replaced after a growing pause. New generations (a reload) and replacements (a worker
that is recycled) are started and proved beside the old ones, which serve until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from scorehost.errors import WorkerLost
from scorehost.front.dispatch import Dispatcher
from scorehost.front.exchange import Exchange
from scorehost.front.handle import RETIRING, SERVING, STARTING, WorkerHandle
from scorehost.front.launcher import Launcher
from scorehost.front.observe.log import SCRIPT, Log
from scorehost.front.script_output import KEPT_LINES, ScriptOutput
from scorehost.settings import Settings
from scorehost.worker import frames

if TYPE_CHECKING:
    from scorehost.front.ends import End

LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts to replace a worker that keeps dying."""
_QUIET: Final = 60.0
"""Seconds without a death after which the pause starts small again."""
_STOP_GRACE: Final = 5.0
"""Seconds an idle process may take to end before it is killed."""
_STACKS_TAKE: Final = 0.3
"""Seconds a process gets to write its stacks before it is killed."""
_JITTER: Final = 0.1
"""Part of SCOREHOST_MAX_REQUESTS by which workers differ, so that they don't go at once."""


class Owner(Protocol):
    """What the pool tells the front."""

    def answer_frame(self, worker: WorkerHandle, frame: frames.AnswerFrame) -> None:
        """A worker has answered."""

    def fail(self, exchange: Exchange, error: WorkerLost) -> None:
        """A request was inside a worker that ended."""

    def became_ready(self) -> None:
        """A worker can score; called each time."""

    def start_failed(self, report: dict[str, Any]) -> None:
        """No worker has ever been ready, and one has failed to start."""

    def log_report(self, report: dict[str, Any]) -> None:
        """A later start has failed; others go on."""

    def nobody_serves(self) -> None:
        """No worker can score, and the last attempt to start one failed."""

    def worker_ended(self, reason: str) -> None:
        """A process has ended unasked."""

    def reloaded(self, succeeded: bool) -> None:
        """A reload is over."""


class Pool:
    """Every scoring process of one server.

    Parameters
    ----------
    settings : counts, limits, preload.
    wanted : scoring workers to keep.
    loop : the front's event loop.
    dispatcher : gets the workers that can score.
    launcher : starts processes.
    log : where ends are explained.
    owner : told what happens.
    """

    def __init__(
        self,
        settings: Settings,
        wanted: int,
        loop: asyncio.AbstractEventLoop,
        dispatcher: Dispatcher,
        launcher: Launcher,
        log: Log,
        owner: Owner,
    ) -> None:
        self._settings = settings
        self.wanted = wanted
        self._loop = loop
        self._dispatcher = dispatcher
        self._launcher = launcher
        self._log = log
        self._owner = owner
        self.workers: list[WorkerHandle] = []
        self.generation = 0
        self.ever_ready = False
        self.stopping = False
        self.reloading = False
        self.last_failure: dict[str, Any] | None = None
        self.last_death = ""
        self.description: dict[str, Any] = {}
        self._loader: WorkerHandle | None = None
        self._processes: dict[WorkerHandle, subprocess.Popen[bytes]] = {}
        self._outputs: dict[WorkerHandle, ScriptOutput] = {}
        self._last_lines: dict[WorkerHandle, deque[str]] = {}
        self._pid_files: dict[WorkerHandle, int] = {}
        self._replaces: dict[WorkerHandle, WorkerHandle] = {}
        self._forking: deque[WorkerHandle] = deque()
        self._recycle_at: dict[WorkerHandle, int] = {}
        self._deaths: deque[float] = deque(maxlen=16)
        self._index = 0
        self._reload_again = False
        self.next_start = 0.0
        self.on_empty: Callable[[], None] | None = None
        self._oom_kills: int | None = None

    # -- starting -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the first generation."""
        self.generation += 1
        self._start_generation(self.wanted)

    def _start_generation(self, count: int) -> None:
        if self._settings.worker_preload:
            self._start_loader()
        else:
            for _ in range(count):
                self._start_worker()

    def _start_loader(self) -> None:
        loader = WorkerHandle(0, self.generation)
        loader.is_loader = True
        self._loader = loader
        self._run(loader, "loader")

    def _start_worker(self, replaces: WorkerHandle | None = None) -> WorkerHandle | None:
        """Start one scoring worker of the current generation."""
        loader = self._loader
        if self._settings.worker_preload and loader is None:
            self._start_loader()
        if self._loader is not None and self._loader.state == STARTING:
            return None  # it starts the workers when it is ready
        self._index += 1
        handle = WorkerHandle(self._index, self.generation)
        if replaces is not None:
            self._replaces[handle] = replaces
        if loader is None or loader.refusal:
            self._run(handle, "worker")
        else:
            self._launcher.fork(loader, handle)
            self._forking.append(handle)
            self._watch(handle)
        return handle

    def _run(self, handle: WorkerHandle, role: str) -> None:
        process = self._launcher.start(handle, role)
        self._processes[handle] = process
        self._watch(handle)
        descriptor = os.pidfd_open(process.pid)
        self._pid_files[handle] = descriptor
        self._loop.add_reader(descriptor, self._process_ended, handle)

    def _watch(self, handle: WorkerHandle) -> None:
        self.workers.append(handle)
        kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._last_lines[handle] = kept
        pipe = ScriptOutput(handle.output, self._log, handle.shared, kept)
        pipe.pid = handle.pid
        self._outputs[handle] = pipe
        self._loop.add_reader(handle.output, self._read_output, handle, pipe)
        self.listen(handle)
        limit = self._settings.worker_timeout
        if limit:
            self._loop.call_later(limit, self._check_start, handle)

    def listen(self, handle: WorkerHandle) -> None:
        """Read the worker's answers as they come."""
        if handle in self.workers:
            self._loop.add_reader(handle.answers.fileno(), self._read_answers, handle)

    def _read_output(self, handle: WorkerHandle, pipe: ScriptOutput) -> None:
        begun = handle.shared.begun
        inside = ""
        if begun and handle.outstanding:
            inside = next(
                (
                    exchange.request_id.decode("latin-1")
                    for exchange in handle.outstanding
                    if exchange.number == begun
                ),
                "",
            )
        if not pipe.read(inside):
            self._loop.remove_reader(handle.output)

    def _read_answers(self, handle: WorkerHandle) -> None:
        for frame in handle.read_answers():
            if frame.kind <= frames.STREAM_END:
                self._owner.answer_frame(handle, frame)
            else:
                self._control(handle, frame)

    def _control(self, handle: WorkerHandle, frame: frames.AnswerFrame) -> None:
        if frame.kind == frames.STAGE:
            handle.stage = frame.body.decode()
            self._log.event(
                logging.DEBUG if self.ever_ready else logging.INFO,
                SCRIPT,
                f"{handle.stage}: {self._settings.script.name}",
                pid=handle.pid,
            )
        elif frame.kind == frames.READY:
            handle.pid = frame.number
            self._ready(handle, orjson.loads(frame.body))
        elif frame.kind == frames.FAILED:
            handle.report = orjson.loads(frame.body)
        elif frame.kind == frames.FORKED:
            self._forked(handle, frame)
        elif frame.kind == frames.CHILD_ENDED:
            for child in list(self.workers):
                if child.pid == frame.number and child is not handle:
                    self._ended(child, int(orjson.loads(frame.body)["code"]))

    def _forked(self, loader: WorkerHandle, frame: frames.AnswerFrame) -> None:
        if frame.number != loader.pid:
            child = self._forking.popleft()
            child.pid = frame.number
            self._outputs[child].pid = frame.number
            return
        loader.state = SERVING
        loader.ready_at = time.monotonic()
        loader.refusal = str(orjson.loads(frame.body)["refusal"])
        if loader.refusal:
            self._log.warning(
                f"WORKER_PRELOAD is set, but the workers are not forked: {loader.refusal}. "
                "Each worker runs init() itself. To share the model, start no threads and no "
                "CUDA in init() or at import."
            )
            self.stop_worker(loader)
        for _ in range(self.wanted - (0 if self.reloading else self.count())):
            self._start_worker()

    # -- ready --------------------------------------------------------------------------------

    def _ready(self, handle: WorkerHandle, description: dict[str, Any]) -> None:
        handle.description = description
        handle.stage = "ready"
        handle.ready_at = time.monotonic()
        handle.state = SERVING
        if self._settings.max_requests:
            spread = int(self._settings.max_requests * _JITTER)
            self._recycle_at[handle] = self._settings.max_requests - random.randint(0, spread)  # noqa: S311
        if self.reloading and handle.generation == self.generation:
            self._switch_when_all_ready()
        else:
            self._serve(handle)
            old = self._replaces.pop(handle, None)
            if old is not None:
                self.retire(old)

    def _serve(self, handle: WorkerHandle) -> None:
        first = not self.ever_ready
        self.ever_ready = True
        self.last_failure = None
        self.description = handle.description
        self._dispatcher.serving.append(handle)
        if first:
            seconds = time.monotonic() - handle.started
            self._log.info(f"ready to score after {seconds:.2f} s (worker pid {handle.pid})")
        else:
            self._log.debug(f"worker {handle.index} (pid {handle.pid}) is ready")
        self._owner.became_ready()
        self._dispatcher.pump()

    def _switch_when_all_ready(self) -> None:
        new = [
            worker
            for worker in self.workers
            if worker.generation == self.generation and not worker.is_loader
        ]
        if len(new) < self.wanted or any(worker.state != SERVING for worker in new):
            return
        self.reloading = False
        old = [worker for worker in self.workers if worker.generation < self.generation]
        for worker in new:
            self._serve(worker)
        for worker in old:
            self.retire(worker)
        self._log.info(f"reloaded: {len(new)} new worker(s) serve")
        self._owner.reloaded(True)
        if self._reload_again:
            self._reload_again = False
            self.reload()

    # -- reloading ----------------------------------------------------------------------------

    def reload(self) -> None:
        """Start a new generation beside the old; switch when all of it can score."""
        if self.stopping:
            return
        if self.reloading:
            self._reload_again = True
            return
        self._log.info("reloading: new workers are starting beside the old")
        self.reloading = bool(self._dispatcher.serving)
        self.generation += 1
        if not self.reloading:  # nothing serves: whatever is half started is not wanted either
            for worker in list(self.workers):
                self.stop_worker(worker, now=True)
        self._loader = None
        self._start_generation(self.wanted)

    def _reload_failed(self, report: dict[str, Any]) -> None:
        self.reloading = False
        self.last_failure = report
        for worker in list(self.workers):
            if worker.generation == self.generation:
                self.stop_worker(worker, now=True)
        serving = self._dispatcher.serving
        if serving:
            self.generation = serving[0].generation
        self._log.error("the reload failed; the workers from before go on serving")
        self._owner.reloaded(False)
        if self._reload_again:
            self._reload_again = False
            self.reload()

    # -- recycling ----------------------------------------------------------------------------

    def after_answer(self, worker: WorkerHandle) -> None:
        """Recycle a worker that has scored its share; end one that was only finishing."""
        if worker.state == RETIRING:
            if not worker.outstanding:
                self.stop_worker(worker)
        elif self._recycle_at and worker.scored >= self._recycle_at.get(worker, 1 << 62):
            self.recycle(worker, f"it has scored {worker.scored} requests")

    def check_memory(self) -> None:
        """Note peaks; recycle workers above their mark. Called once a second."""
        limit = self._settings.max_worker_memory
        for worker in list(self.workers):
            size = worker.memory()
            worker.peak_bytes = max(worker.peak_bytes, size)
            if limit and size > limit and worker.state == SERVING and not worker.is_loader:
                self.recycle(worker, f"it holds {size >> 20} MiB of memory")

    def recycle(self, worker: WorkerHandle, why: str) -> None:
        """Start a replacement; the worker serves until that is ready."""
        if worker in self._replaces.values() or self.stopping or worker.recycling:
            return
        worker.recycling = True
        self._recycle_at.pop(worker, None)
        self._log.info(f"worker {worker.index} (pid {worker.pid}) is replaced: {why}")
        self._start_worker(replaces=worker)

    def retire(self, worker: WorkerHandle) -> None:
        """Let a worker finish what it has begun, then end it."""
        if worker.is_loader:
            return  # it ends after its children
        self._dispatcher.retire(worker)
        if not worker.outstanding:
            self.stop_worker(worker)

    # -- ending -------------------------------------------------------------------------------

    def stop_worker(self, worker: WorkerHandle, *, now: bool = False) -> None:
        """End one process: asked, or killed when it must not go on."""
        worker.state = RETIRING
        if now:
            worker.kill("stopped")
            return
        with contextlib.suppress(OSError):
            worker.send_control(frames.STOP)
        self._loop.call_later(_STOP_GRACE, worker.kill, "stopped")

    def stop(self) -> None:
        """End every process; ``on_empty`` is called when the last one is gone."""
        self.stopping = True
        for worker in list(self.workers):
            if not (worker.is_loader and worker.state == SERVING):
                self.stop_worker(worker, now=worker.state == STARTING)
        self._stop_idle_loaders()
        if not self.workers and self.on_empty is not None:
            self.on_empty()

    def kill_all(self) -> None:
        """End every process at once."""
        self.stopping = True
        for worker in list(self.workers):
            worker.kill("stopped")

    def _process_ended(self, handle: WorkerHandle) -> None:
        process = self._processes[handle]
        code = process.poll()
        if code is not None:
            self._ended(handle, code)

    def _ended(self, handle: WorkerHandle, code: int) -> None:
        """A process has ended: hear it out, give its requests on, explain, replace."""
        handle.returncode = code
        was = handle.state
        for frame in handle.drain_answers():
            if frame.kind <= frames.STREAM_END:
                self._owner.answer_frame(handle, frame)
            else:
                self._control(handle, frame)
        self._unwatch(handle)
        inside = self._dispatcher.lost(handle)
        expected = was == RETIRING and not inside
        end = None if expected else self._explain(handle, code, inside)
        for exchange in inside:
            self._owner.fail(exchange, WorkerLost(end.client_text if end else "ended"))
        handle.close()
        self._last_lines.pop(handle)
        if handle.is_loader:
            self._loader_ended(handle)
        if end is None:
            self._log.debug(f"worker {handle.index} (pid {handle.pid}) has ended")
        else:
            self._unexpected(handle, end)
        self._stop_idle_loaders()
        if self.stopping and not self.workers and self.on_empty is not None:
            self.on_empty()

    def _unwatch(self, handle: WorkerHandle) -> None:
        loop = self._loop
        loop.remove_reader(handle.answers.fileno())
        loop.remove_reader(handle.output)
        self._outputs.pop(handle).drain()
        pid_file = self._pid_files.pop(handle, None)
        if pid_file is not None:
            loop.remove_reader(pid_file)
            os.close(pid_file)
        self._processes.pop(handle, None)
        self.workers.remove(handle)
        self._recycle_at.pop(handle, None)
        if handle in self._forking:
            self._forking.remove(handle)

    def _loader_ended(self, loader: WorkerHandle) -> None:
        if self._loader is loader and not loader.refusal:
            self._loader = None
        if not loader.refusal:
            for child in self._children_of(loader):
                self._ended(child, -signal.SIGKILL)  # the kernel ends them with the loader

    def _children_of(self, loader: WorkerHandle) -> list[WorkerHandle]:
        return [
            worker
            for worker in self.workers
            if worker.generation == loader.generation and not worker.is_loader
        ]

    def _stop_idle_loaders(self) -> None:
        """End the loaders whose children have ended; before that they would take them along."""
        for worker in list(self.workers):
            if (
                worker.is_loader
                and worker.state == SERVING
                and (self.stopping or worker is not self._loader)
                and not self._children_of(worker)
            ):
                self.stop_worker(worker)

    def _explain(self, handle: WorkerHandle, code: int, inside: list[Exchange]) -> End:
        from scorehost.front.ends import explain_end  # not before the first death: it knows much

        end = explain_end(
            handle,
            code,
            request_id=inside[0].request_id.decode("latin-1") if inside else "",
            output="\n".join(self._last_lines[handle]),
            settings=self._settings,
            oom_before=self._oom_kills,
        )
        self._oom_kills = end.oom_kills
        return end

    def _unexpected(self, handle: WorkerHandle, end: End) -> None:
        """A process ended that was not told to: say why, and replace it."""
        if self.stopping:
            return
        self._owner.worker_ended(end.reason)
        self.last_death = end.text
        if handle.ready_at:
            self._log.error(end.text, reason=end.reason)
            if not handle.is_loader:
                self._replace(handle)
        else:
            self._start_ended(handle, handle.report or end.report)

    def _start_ended(self, handle: WorkerHandle, report: dict[str, Any]) -> None:
        """A process ended before it could score."""
        self.last_failure = report
        if not self.ever_ready:
            self._owner.start_failed(report)
            return
        self._owner.log_report(report)
        if self.reloading and handle.generation == self.generation:
            self._reload_failed(report)
        else:
            replaced = self._replaces.pop(handle, None)
            self._replace(handle, replaces=replaced)
            if not self._dispatcher.serving:
                self._owner.nobody_serves()

    def _replace(self, handle: WorkerHandle, replaces: WorkerHandle | None = None) -> None:
        """Start another worker, at once the first time, later and later when they keep dying."""
        now = time.monotonic()
        while self._deaths and now - self._deaths[0] > _QUIET:
            self._deaths.popleft()
        self._deaths.append(now)
        recent = len(self._deaths)
        pause = 0.0 if recent == 1 else min(LONGEST_PAUSE, 0.25 * 2 ** (recent - 2))
        self.next_start = now + pause
        if pause >= 1:
            self._log.warning(
                f"{recent} workers have ended within {_QUIET:.0f} s; "
                f"the next one starts in {pause:.0f} s"
            )
        self._loop.call_later(pause, self._start_missing, replaces)

    def _start_missing(self, replaces: WorkerHandle | None) -> None:
        if self.stopping or self.reloading:
            return
        if replaces is not None and replaces in self.workers:
            self._start_worker(replaces=replaces)
        elif self.count() < self.wanted:
            self._start_worker()

    def count(self) -> int:
        """Scoring workers that serve or are starting to, replacements not counted twice."""
        return sum(
            1
            for worker in self.workers
            if worker.state in (STARTING, SERVING)
            and not worker.is_loader
            and worker not in self._replaces
        )

    def _check_start(self, handle: WorkerHandle) -> None:
        """End a process whose ``init()`` takes longer than WORKER_TIMEOUT."""
        if handle.state == STARTING and handle in self.workers:
            handle.dump_stacks()
            self._loop.call_later(_STACKS_TAKE, handle.kill, "start-timeout")
