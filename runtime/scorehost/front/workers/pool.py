"""The scoring processes: the pool does what their lifecycle decides and tells it what happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from scorehost.errors import FrameError
from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.log import SCRIPT, SERVER, Log, as_word
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.workers import lifecycle as life
from scorehost.front.workers.capacity import Plan, measure
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.launcher import Launcher
from scorehost.front.workers.lifecycle import Action, Death, Lifecycle
from scorehost.front.workers.processes import Processes, TakeAnswers
from scorehost.front.workers.recycling import Recycling
from scorehost.front.workers.roster import RETIRING, STARTING, Member
from scorehost.references import new_reference, see_log
from scorehost.settings import Settings
from scorehost.wire import answers, requests
from scorehost.wire.answers import AnswerFrame

_STOP_GRACE: Final = 5.0
"""Seconds an idle process may take to end before it is killed."""
_STACKS_TAKE: Final = 0.3
"""Seconds a process gets to write its stacks before it is killed."""
LOADER_LOST: Final = "loader"
"""Why forked workers are killed: the kernel ends them together with their loader."""


class Listener(Protocol):
    """What is told what happens to the workers; ``supervision.py`` documents the methods."""

    def lost(self, exchange: Exchange) -> None: ...
    def start_failed(self, report: dict[str, Any]) -> None: ...
    def log_report(self, document: dict[str, Any]) -> None: ...
    def nobody_serves(self) -> None: ...
    def worker_ended(self, reason: str, text: str) -> None: ...
    def reloaded(self, succeeded: bool) -> None: ...


def readable_report(frame: AnswerFrame) -> dict[str, Any]:
    """Return the report on a failed start that a process has sent.

    Raises
    ------
    FrameError
        The frame does not hold a report.
    """
    from scorehost.diagnosis.report import Report  # late, as it imports much

    document = frame.read_object()
    try:
        Report.from_dict(document).text()
    except Exception:
        raise FrameError("sent a report that cannot be read") from None
    return document


class Pool:
    """Every scoring process of one server.

    Attributes
    ----------
    lifecycle : decides which processes there are.
    description : what the newest serving worker reported of its script.
    last_death : why the last process that ended unasked did so, as the log has it.
    last_death_outline : the same as anybody may be told, of the last one that was logged.
    on_empty : called when a stopping server has no process left.
    """

    _listener: Listener

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
        self._loop = loop
        self._now = time.monotonic
        self._dispatcher = dispatcher
        self._log = log
        self._processes = Processes(loop, launcher, log, self)
        self._handles: dict[Member, WorkerHandle] = {}
        self._oom_kills = plan.oom_kills
        self._measuring: asyncio.Task[None] | None = None
        self.lifecycle = Lifecycle(
            plan.count,
            memory_limit=plan.memory_bytes,
            preload=settings.worker_preload,
            warms_up=settings.develops,
            recycling=partial(Recycling, settings.max_requests, settings.max_worker_memory),
        )
        self.description: dict[str, Any] = {}
        self.last_death = self.last_death_outline = ""
        self.on_empty: Callable[[], None] | None = None

    # -- queries and wishes -------------------------------------------------------------------

    @property
    def workers(self) -> list[WorkerHandle]:
        """Every process, loaders included, until its end has been noticed."""
        return list(self._handles.values())

    def will_serve(self) -> bool:
        """Return whether a request may wait for a worker although none can score."""
        return self.lifecycle.will_serve(self._now())

    def start(self, hear: TakeAnswers, listener: Listener) -> None:
        """Start the first generation.

        Parameters
        ----------
        hear : takes what workers answer.
        listener : is told what happens to them.
        """
        self._processes.take_answers = hear
        self._listener = listener
        self._carry_out(self.lifecycle.start(self._now()))

    def reload(self, *, anew: bool = False) -> None:
        """Start a new generation beside the old one; switch when all of it can score.

        Parameters
        ----------
        anew : give up a reload that is under way; otherwise another one follows it.
        """
        self._carry_out(self.lifecycle.reload(self._now(), anew=anew))

    def stop(self) -> None:
        """End every process; ``on_empty`` is called when the last one is gone."""
        busy = [member for member, handle in self._handles.items() if handle.in_flight]
        self._carry_out(self.lifecycle.stop(busy))

    def kill_all(self) -> None:
        self._carry_out(self.lifecycle.kill_all())

    def after_answer(self, worker: WorkerHandle) -> None:
        """Check whether a worker has scored its share, or has finished what it had begun."""
        member = worker.member
        due = member.recycle_at and worker.scored >= member.recycle_at
        if due or member.state == RETIRING:
            idle = not worker.in_flight
            self._carry_out(
                self.lifecycle.answered(member, worker.scored, idle=idle, now=self._now())
            )

    def check_memory(self) -> None:
        """Note peaks, and recycle workers above their limit; called once a second."""
        self._processes.reap_adopted()
        for member, handle in list(self._handles.items()):
            size = handle.memory()
            handle.peak_bytes = max(handle.peak_bytes, size)
            self._carry_out(self.lifecycle.measured(member, size, self._now()))

    async def leftovers_ended(self) -> None:
        """Return when what ended workers have left has ended too, within a bound."""
        await self._processes.leftovers_ended()

    def check_frames(self) -> None:
        """End the processes that stand in half a frame, and hear those that were left waiting.

        Called once a second.
        """
        for handle in list(self._handles.values()):
            handle.go_on_after_stream()
            if not self._dispatcher.suspended() and handle.stands_in_a_frame():
                half = handle.reader.give_up("sent part of a frame, and then nothing more")
                self._processes.take_answers(handle, [half])

    # -- carrying out -------------------------------------------------------------------------

    def _carry_out(self, actions: Iterable[Action]) -> None:
        """Carry out actions in order; after a start that failed, start no more."""
        refused: list[Member] = []
        problem = ""
        for action in actions:
            if not isinstance(action, life.Start):
                self._do(action)
            elif refused:
                refused.append(action.member)
            else:
                problem = self._launch(action)
                if problem:
                    refused.append(action.member)
        if refused:
            reference = new_reference()
            self.last_death = f"{problem} Reference {reference}."
            outline = "A scoring process could not be started"
            self.last_death_outline = see_log(outline, reference)
            self._carry_out(self.lifecycle.could_not_start(refused, self.last_death, self._now()))

    def _do(self, action: Action) -> None:
        match action:
            case life.Serve(member):
                handle = self._handles[member]
                self.description = handle.description
                self._dispatcher.add(handle)
            case life.Retire(member):
                self._retire(self._handles[member])
            case life.End(member):
                self._end(self._handles[member])
            case life.Kill(member):
                self._handles[member].kill("stopped")
            case life.FillLater(pause):
                self._loop.call_later(pause, self._fill)
            case life.Measure(newest):
                self._measuring = self._loop.create_task(self._measure(newest))
            case life.Note(level, text, reason, reference):
                fields: dict[str, Any] = {"reason": reason} if reason else {}
                if reference:
                    fields["reference"] = reference
                # Errors are what answers refer to: they are logged whatever the level is.
                self._log.event(level, SERVER, text, always=level >= logging.ERROR, **fields)
            case life.Died(reason, text):
                self._listener.worker_ended(reason, text)
            case life.StartFailed(report):
                self._listener.start_failed(report)
            case life.Report(report):
                self._listener.log_report(report)
            case life.NobodyServes():
                self._listener.nobody_serves()
            case life.Reloaded(succeeded):
                self._listener.reloaded(succeeded)
            case life.Empty():
                if self.on_empty is not None:
                    self.on_empty()

    def _launch(self, action: life.Start) -> str:
        """Start a process; return why that failed, or ""."""
        member, loader = action
        try:
            handle = WorkerHandle(member)
            if loader is None:
                self._processes.start(handle, "loader" if member.is_loader else "worker")
            else:
                self._processes.fork(self._handles[loader], handle)
        except OSError as error:
            return f"A scoring process could not be started: {error}."
        self._handles[member] = handle
        limit = self._settings.worker_timeout
        if limit:
            self._loop.call_later(limit + self._settings.debug_wait, self._check_start, handle)
        return ""

    def _check_start(self, handle: WorkerHandle) -> None:
        """End a process whose ``init()`` takes longer than WORKER_TIMEOUT."""
        if handle.member.state != STARTING or handle.member not in self._handles:
            return
        if self._dispatcher.suspended() or handle.shared.debugged:
            self._loop.call_later(self._settings.worker_timeout, self._check_start, handle)
        elif handle.stage == STARTING:  # too early for it to write its stacks
            handle.kill("start-timeout")
        else:
            handle.dump_stacks()
            self._loop.call_later(_STACKS_TAKE, handle.kill, "start-timeout")

    def _fill(self) -> None:
        self._carry_out(self.lifecycle.fill(self._now()))

    def _retire(self, handle: WorkerHandle) -> None:
        self._dispatcher.retire(handle)
        self.after_answer(handle)

    def _end(self, handle: WorkerHandle) -> None:
        with contextlib.suppress(OSError):
            handle.send_control(requests.STOP)
        self._loop.call_later(_STOP_GRACE, handle.kill, "stopped")

    async def _measure(self, newest: Member) -> None:
        """Measure all processes, on a thread."""
        pids = [os.getppid(), os.getpid(), *(each.pid for each in self._handles if each.pid)]
        memory = await self._loop.run_in_executor(None, measure, pids, newest.pid)
        self._carry_out(self.lifecycle.room_measured(memory, self._now()))

    # -- what processes say -------------------------------------------------------------------

    def control_frame(self, handle: WorkerHandle, frame: AnswerFrame) -> None:
        """Handle what a process says about itself."""
        try:
            self._understand(handle, frame)
        except FrameError as problem:
            self._processes.take_answers(handle, [frame.refused(str(problem))])

    def _understand(self, handle: WorkerHandle, frame: AnswerFrame) -> None:
        if (frame.kind in (answers.FORKED, answers.CHILD_ENDED)) > handle.member.is_loader:
            raise FrameError("reported a fork, although it is not a loader")
        if frame.kind == answers.STAGE:
            handle.stage = frame.read_text()
            level = logging.DEBUG if self.lifecycle.ever_ready else logging.INFO
            text = f"{handle.stage}: {self._settings.script.name}"
            self._log.event(level, SCRIPT, text, pid=handle.pid)
        elif frame.kind == answers.READY:
            if handle.pid not in (0, frame.number):  # 0: its loader has not told us yet
                raise FrameError(f"claims to be process {frame.number}")
            description = frame.read_object(style=str, warnings=list, documents=dict)
            handle.member.pid = frame.number
            self._ready(handle, description)
        elif frame.kind == answers.FAILED:
            handle.report = readable_report(frame)
        elif frame.kind == answers.FORKED:
            self._forked(handle, frame)
        elif frame.kind == answers.CHILD_ENDED:
            code = frame.read_object(code=int)["code"]
            for child in self.lifecycle.roster.scoring(handle.member.generation):
                if child.pid == frame.number:
                    self._processes.ended(self._handles[child], code)

    def _ready(self, handle: WorkerHandle, description: dict[str, Any]) -> None:
        if handle.member.state != STARTING:
            return  # it was asked to end in the meantime
        handle.description = description
        handle.full = bool(description.get("full", True))
        for warning in description.get("warnings", ()):
            self._log.warning(warning, always=True)  # the documents may refer to it
        handle.stage = "ready"
        self._carry_out(self.lifecycle.ready(handle.member, handle.memory(), self._now()))

    def _forked(self, loader: WorkerHandle, frame: AnswerFrame) -> None:
        if frame.number == loader.pid:
            refusal = frame.read_object(refusal=str)["refusal"]
            self._carry_out(self.lifecycle.loader_ready(loader.member, refusal, self._now()))
            return
        error = frame.read_object(error=str)["error"]
        child = self._processes.forked(loader, frame.number)
        if not frame.number:
            self._log.error(f"the loader could not fork a worker: {error}")
            self._processes.ended(child, 1)

    def process_ended(self, handle: WorkerHandle) -> None:
        """Requeue what an ended process had not begun, explain its end, and have it replaced."""
        member = handle.member
        inside = self._dispatcher.lost(handle)
        unasked = member.state != RETIRING or inside
        death = self._explain(handle, inside) if unasked else None
        for exchange in inside:
            self._listener.lost(exchange)
        for child in self.lifecycle.is_ending(member):
            self._handles[child].kill(LOADER_LOST)
            self._processes.ended(self._handles[child], -signal.SIGKILL)
        del self._handles[member]
        self._carry_out(self.lifecycle.ended(member, death, self._now()))

    def _explain(self, handle: WorkerHandle, inside: Sequence[Exchange]) -> Death:
        from scorehost.front.workers.deaths import explain_end  # late, as it imports much

        request_id = as_word(inside[0].request_id.decode("latin-1")) if inside else b""
        reference = new_reference()
        end = explain_end(handle, self._settings, self._oom_kills, request_id.decode(), reference)
        self._oom_kills = end.oom_kills
        if handle.report is None:
            self.last_death = end.text  # set first: debug mode tells it to the clients
            if not (self.lifecycle.failed or self.lifecycle.stopping):  # else it is not logged
                self.last_death_outline = see_log(end.outline, reference)
        report = end.report if handle.report is None else handle.report | {"reference": reference}
        with_loader = handle.kill_reason == LOADER_LOST
        return Death(end.reason, end.text, report, with_loader)
