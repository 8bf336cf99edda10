"""The life of scoring workers as a machine: events and the time go in, actions come out.

Theory of operation. Nothing here starts a process, reads a clock or waits. :class:`Lifecycle` is
told what has happened (a worker is ready, a process has ended, a reload is wanted) and returns
what is to be done about it, in order; the pool carries that out. All it knows is in its roster
and in a few fields that nobody else writes, so every case is a table of events and expected
actions.

It follows three rules:

* *As many as wanted.* ``fill`` starts what is missing. With a memory limit it starts one at a time
  and asks for a measurement before the next; what does not fit lowers ``wanted`` until a worker has
  ended. With preload it starts a loader first and forks the workers from that.
* *Proved before it serves.* A reload begins a new generation beside the old. Its workers wait in
  READY until all of them are, then all serve and the old ones retire at once. If any of them ends
  before that, the new generation is killed and the old one stays. The replacement of a worker
  that is recycled is started first in the same way, alone.
* *Ends are explained, and restarts paced.* What ends unasked is replaced, at once the first time
  and after growing pauses when ends go on (``backoff``). A script that fails before any worker
  could score is not started again automatically: ``StartFailed`` says so, once per attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from scorehost.backoff import QUIET, Backoff
from scorehost.front.workers.capacity import Memory, workers_text
from scorehost.front.workers.recycling import Recycling
from scorehost.front.workers.roster import READY, RETIRING, SERVING, STARTING, Member, Roster
from scorehost.values import bytes_text

SOON: Final = 2.0
"""Seconds until the next start for which requests wait; before longer ones they are refused."""


# -- actions ----------------------------------------------------------------------------------


class Start(NamedTuple):
    """Start a process: a fresh interpreter, or a fork of ``loader``."""

    member: Member
    loader: Member | None = None


class Serve(NamedTuple):
    """Give a worker requests from now on."""

    member: Member


class Retire(NamedTuple):
    """Give a worker nothing more, and call :meth:`Lifecycle.answered` when nothing is inside."""

    member: Member


class End(NamedTuple):
    """Ask a process to end, and kill one that does not."""

    member: Member


class Kill(NamedTuple):
    """Kill a process."""

    member: Member


class FillLater(NamedTuple):
    """Call :meth:`Lifecycle.fill` after a pause (seconds)."""

    pause: float


class Measure(NamedTuple):
    """Measure the memory of all processes, and call :meth:`Lifecycle.room_measured`."""

    newest: Member


class Note(NamedTuple):
    """Log something; of the end of a process, with its reason and what refers to it."""

    level: int
    text: str
    reason: str = ""
    reference: str = ""


class Died(NamedTuple):
    """Tell that a process has ended unasked."""

    reason: str
    text: str


class StartFailed(NamedTuple):
    """Tell that the script has failed before any worker could score."""

    report: dict[str, Any]


class Report(NamedTuple):
    """Tell that a later start has failed; other workers keep serving."""

    report: dict[str, Any]


class NobodyServes(NamedTuple):
    """Tell that no request should wait for a worker."""


class Reloaded(NamedTuple):
    """Tell that a reload is over."""

    succeeded: bool


class Empty(NamedTuple):
    """Tell that the last process of a stopping server is gone."""


Action: TypeAlias = (
    Start | Serve | Retire | End | Kill | FillLater | Measure | Note | Died | StartFailed
    | Report | NobodyServes | Reloaded | Empty
)  # fmt: skip


@dataclass(frozen=True)
class Death:
    """Why a process has ended unasked.

    Parameters
    ----------
    reason : one of a small closed set, for the metric.
    text : what happened, for the log.
    report : the whole report.
    came_with_loader : whether the kernel ended it together with the loader it was forked from.
    """

    reason: str
    text: str
    report: dict[str, Any] = field(default_factory=dict)
    came_with_loader: bool = False


# -- the machine ------------------------------------------------------------------------------


class Lifecycle:
    """Decides which processes there are.

    Parameters
    ----------
    planned : scoring workers that are wanted, memory permitting.
    memory_limit : bytes that may lower their number; None for no limit.
    preload : whether workers are forked from a loader.
    warms_up : whether workers of a reload answer the script's own sample before they serve.
    recycling : decides when a worker has served long enough; made with a function that warns.
    backoff : decides how long to wait before the next start.

    Attributes
    ----------
    roster : the processes.
    wanted : scoring workers to keep.
    generation : the one that serves or is being proved; its number rises with every reload.
    ever_ready : whether any worker was ever able to score.
    failed : whether nothing can score because of the script.
    last_failure : report of the last failed start; None once a worker has been ready since.
    reloading : whether a new generation is being proved.
    stopping : whether every process is to end.
    next_start : when the next worker starts (seconds, monotonic), after a pause.
    measuring : whether a measurement has been asked for.
    """

    def __init__(
        self,
        planned: int,
        *,
        memory_limit: int | None = None,
        preload: bool = False,
        warms_up: bool = False,
        recycling: Callable[[Callable[[str], None]], Recycling],
        backoff: Backoff | None = None,
    ) -> None:
        self._planned = planned
        self._limit = memory_limit
        self._preload = preload
        self._warms_up = warms_up
        self._recycling = recycling(self._warn)
        self._backoff = backoff or Backoff()
        self._share = planned
        self._index = 0
        self._newest = 0
        self._refused = 0
        """The generation whose loader must not be forked."""
        self._again = False
        self._settled_for = 0
        self._actions: list[Action] = []
        self.roster = Roster()
        self.wanted = planned
        self.generation = 0
        self.ever_ready = False
        self.failed = False
        self.last_failure: dict[str, Any] | None = None
        self.reloading = False
        self.stopping = False
        self.next_start = 0.0
        self.measuring = False

    # -- queries ------------------------------------------------------------------------------

    def counted(self) -> list[Member]:
        """Return the workers that count towards those wanted."""
        return self.roster.counted(self.generation if self.reloading else None)

    def missing(self) -> int:
        """Return how many wanted workers have not been started yet."""
        return max(0, self.wanted - len(self.counted()))

    def will_serve(self, now: float) -> bool:
        """Return whether a request may wait for a worker although none can score."""
        soon = self.next_start - now <= SOON
        return self.ever_ready and self.last_failure is None and soon

    # -- events: starting ---------------------------------------------------------------------

    def start(self, now: float) -> list[Action]:
        self._begin_generation()
        self._fill(now)
        return self._taken()

    def fill(self, now: float) -> list[Action]:
        self._fill(now)
        return self._taken()

    def could_not_start(
        self, members: Collection[Member], problem: str, now: float
    ) -> list[Action]:
        """Note that the system has refused to start these."""
        for member in members:
            self.roster.members.remove(member)
            if member.replaces is not None:
                member.replaces.being_replaced = False
        self._note(logging.ERROR, problem)
        self._fill_later(now)
        return self._taken()

    def loader_ready(self, loader: Member, refusal: str, now: float) -> list[Action]:
        """Note that a loader has run ``init()``; ``refusal`` is why it can't be forked, or ""."""
        if loader.state != STARTING:
            return []  # it was asked to end in the meantime
        loader.state = READY
        loader.ready_at = now
        loader.refusal = refusal
        if refusal:
            self._refused = loader.generation
            self._warn(
                f"WORKER_PRELOAD is set, but the workers are not forked: {refusal}. "
                "Each worker runs init() itself. To share the model, do not start threads or "
                "use CUDA in init() or at import."
            )
            self._end(loader)
        self._fill(now)
        return self._taken()

    def ready(self, member: Member, held_bytes: int, now: float) -> list[Action]:
        """Note that a worker can score; ``held_bytes`` is its memory now."""
        if member.state != STARTING:
            return []  # it was asked to end in the meantime
        member.state = READY
        member.ready_at = now
        self._recycling.begin(member, held_bytes)
        if self._proves(member):
            self._proved(member, now)
        else:
            self._serve(member, now)
            old, member.replaces = member.replaces, None
            if old is not None:
                self._retire(old)
        self._fill(now)
        return self._taken()

    def room_measured(self, memory: Memory, now: float) -> list[Action]:
        """Note what the processes hold: start one more worker, or settle for these."""
        self.measuring = False
        if not memory.another or self._any_starting():
            self._fill(now)  # things have changed since
        elif not self.stopping and self.missing():
            self._decide(memory, now)
        return self._taken()

    # -- events: serving ----------------------------------------------------------------------

    def answered(self, member: Member, scored: int, *, idle: bool, now: float) -> list[Action]:
        """Retire or end a worker that has answered, if that is due.

        Parameters
        ----------
        member : the worker.
        scored : requests that it has answered in its life.
        idle : whether nothing is inside it now.
        now : seconds on the monotonic clock.
        """
        if member.state == RETIRING:
            if idle:
                self._end(member)
        elif member.recycle_at and scored >= member.recycle_at:
            self._recycle(member, f"it has scored {scored} requests", now)
        return self._taken()

    def measured(self, member: Member, size: int, now: float) -> list[Action]:
        """Recycle a worker whose memory (bytes) is above its limit."""
        if member.state == SERVING:
            why = self._recycling.too_large(member, size)
            if why:
                self._recycle(member, why, now)
        return self._taken()

    def reload(self, now: float, *, anew: bool = False) -> list[Action]:
        """Begin a new generation.

        Parameters
        ----------
        now : seconds on the monotonic clock.
        anew : give up a reload that is under way; otherwise another one follows it.
        """
        if not self.stopping:
            self._reload(now, anew=anew)
        return self._taken()

    # -- events: ending -----------------------------------------------------------------------

    def is_ending(self, member: Member) -> list[Member]:
        """Note that a process is ending; return the children that the kernel ends with a loader.

        Nobody else would notice the children's end; :meth:`ended` is called for them before it is
        for the loader. From now on nothing is forked from it.
        """
        member.state = RETIRING
        has_children = member.is_loader and not member.refusal
        return self.roster.scoring(member.generation) if has_children else []

    def ended(self, member: Member, death: Death | None, now: float) -> list[Action]:
        """Note the end of a process; ``death`` says why it ended, None when it was asked to."""
        self.roster.members.remove(member)
        if death is None or self.stopping:
            self._note(logging.DEBUG, f"{member} has ended")
            self._room_was_made(now)
        else:
            self._unexpected(member, death, now)
        self._end_idle_loaders()
        if self.stopping and not self.roster.members:
            self._actions.append(Empty())
        return self._taken()

    def stop(self, busy: Collection[Member]) -> list[Action]:
        """End every process; the busy ones and those that are starting are killed."""
        self.stopping = True
        for member in self.roster.members:
            if member.is_loader and member.state == READY:
                continue
            if member.state == STARTING or member in busy:
                self._kill(member)
            else:
                self._end(member)
        self._end_idle_loaders()
        if not self.roster.members:
            self._actions.append(Empty())
        return self._taken()

    def kill_all(self) -> list[Action]:
        """Kill every process."""
        self.stopping = True
        self._actions += [Kill(member) for member in self.roster.members]
        return self._taken()

    # -- starting -----------------------------------------------------------------------------

    def _fill(self, now: float) -> None:
        """Start the workers that are missing: all at once, or one by one as memory allows."""
        if self.stopping:
            return
        if self._limit is None:
            for _ in range(self.missing()):
                if not self._start_one(now):
                    return
        elif not self.counted():
            self._start_one(now)
        elif self.missing() and not self.measuring and not self._any_starting():
            self.measuring = True
            newest = max(self.counted(), key=lambda member: member.ready_at)
            self._actions.append(Measure(newest))

    def _start_one(self, now: float, replaces: Member | None = None) -> bool:
        """Start one scoring worker of this generation; return False if its loader comes first."""
        loader = None
        if self._preload and self._refused != self.generation:
            loader = self.roster.loader(self.generation)
            if loader is None:
                self._actions.append(Start(self._new_member(now, is_loader=True)))
                return False
            if loader.state == STARTING:
                return False  # the rest follows when it is ready
        member = self._new_member(now)
        member.replaces = replaces
        self._actions.append(Start(member, loader))
        return True

    def _new_member(self, now: float, *, is_loader: bool = False) -> Member:
        self._index += 1
        member = Member(self._index, self.generation, is_loader, started=now, share=self._share)
        member.warms_up = self.reloading and self._warms_up
        self.roster.members.append(member)
        return member

    def _begin_generation(self) -> None:
        """Take a new number, never that of a failed reload, some of which may still be ending."""
        self._newest += 1
        self.generation = self._newest

    def _any_starting(self) -> bool:
        return any(member.state == STARTING for member in self.counted())

    def _fill_later(self, now: float) -> None:
        """Start what is missing: at once the first time, after growing pauses if ends go on."""
        pause = self._backoff.after_end(now)
        self.next_start = now + pause
        if pause >= 1:
            self._warn(
                f"{self._backoff.recent} scoring processes have ended within {QUIET:.0f} s; "
                f"the next one starts in {pause:.0f} s"
            )
        self._actions.append(FillLater(pause))

    # -- serving ------------------------------------------------------------------------------

    def _serve(self, member: Member, now: float) -> None:
        first = not self.ever_ready
        self.ever_ready = True
        self.failed = False
        self.last_failure = None
        member.state = SERVING
        self._actions.append(Serve(member))
        if first:
            began = (self.roster.loader(member.generation) or member).started
            after = f"{now - began:.2f} s (worker pid {member.pid})"
            self._note(logging.INFO, f"ready to score after {after}")
        else:
            self._note(logging.DEBUG, f"{member} is ready")

    def _recycle(self, member: Member, why: str, now: float) -> None:
        """Start a replacement; the worker keeps serving until that is ready."""
        paused = now < self.next_start
        if member.being_replaced or self.stopping or self.reloading or paused:
            return  # the next answer, or the next look at its memory, asks again
        in_place = self.wanted < self._planned and len(self.roster.serving()) > 1
        if in_place or self._start_one(now, replaces=member):
            member.being_replaced = True
            self._note(logging.INFO, f"{member} is being replaced: {why}")
        if in_place:
            self._retire(member)  # memory limits their number: there is no room for both

    def _retire(self, member: Member) -> None:
        """Let a worker finish what it has begun, then end it."""
        if member.is_loader:
            return  # it ends when its children have
        if member.state == SERVING:
            member.state = RETIRING
            self._actions.append(Retire(member))
        elif member.state == STARTING:
            self._kill(member)
        elif member.state == READY:
            self._end(member)

    # -- reloading ----------------------------------------------------------------------------

    def _reload(self, now: float, *, anew: bool) -> None:
        if self.reloading and anew:
            self.reloading = False
            self._kill_each(self.roster.scoring(self.generation))
        if self.reloading:
            self._again = True
            return
        self._note(logging.INFO, "reloading: starting new workers beside the old ones")
        self._kill_those_starting()  # they may have read half of what has just changed
        self._begin_generation()
        self.reloading = bool(self.roster.serving())
        # What kept workers from starting may be gone with the old version.
        self.failed = False
        self.wanted = self._planned
        self._fill(now)
        self._end_idle_loaders()

    def _kill_those_starting(self) -> None:
        for member in self.roster.members:
            if member.replaces is not None:
                member.replaces.being_replaced, member.replaces = False, None
            if member.state == STARTING:
                self._kill(member)

    def _proves(self, member: Member) -> bool:
        """Return whether this worker is of the generation that is being proved."""
        return self.reloading and member.generation == self.generation

    def _proved(self, member: Member, now: float) -> None:
        """Note that a new worker can score; switch to the new generation if it was the last."""
        self._note(logging.DEBUG, f"{member} is ready and waits for the other new workers")
        new = self.roster.scoring(self.generation)
        if len(new) >= self.wanted and all(each.state == READY for each in new):
            self._switch(now)

    def _switch(self, now: float) -> None:
        """Have the new generation serve, and retire the old one."""
        self.reloading = False
        new = self._serve_all_ready(now)
        for member in self.roster.before(self.generation):
            self._retire(member)
        count = f"{new} new workers are serving" if new != 1 else "1 new worker is serving"
        self._note(logging.INFO, f"reloaded: {count}")
        self._reload_over(now, succeeded=True)

    def _serve_all_ready(self, now: float) -> int:
        ready = [each for each in self.roster.scoring(self.generation) if each.state == READY]
        for member in ready:
            self._serve(member, now)
        return len(ready)

    def _reload_failed(self, report: dict[str, Any], now: float) -> None:
        """Keep the old generation, as a process of the new one has ended."""
        self.reloading = False
        self.last_failure = report
        self._kill_each(
            [each for each in self.roster.members if each.generation == self.generation]
        )
        self.generation = max(member.generation for member in self.roster.serving())
        self._note(logging.ERROR, "the reload failed; the previous workers keep serving")
        self._reload_over(now, succeeded=False)
        self._fill(now)

    def _reload_over(self, now: float, *, succeeded: bool) -> None:
        self._actions.append(Reloaded(succeeded))
        self._end_idle_loaders()
        if self._again:
            self._again = False
            self._reload(now, anew=False)

    # -- memory -------------------------------------------------------------------------------

    def _decide(self, memory: Memory, now: float) -> None:
        """Start one more worker where there is room for it, or settle for these."""
        assert self._limit is not None  # noqa: S101 - otherwise nothing was measured
        more = memory.how_many_more(self._limit)
        if more:
            self._share = min(self._planned, len(self.counted()) + more)
            self._start_one(now)
        elif self.reloading:
            self._switch(now)  # the others start when the old ones have made room
        else:
            self._settle(memory, self._limit)

    def _settle(self, memory: Memory, limit: int) -> None:
        """Settle for the workers there are, as one more would not fit."""
        self.wanted = self._share = len(self.counted())
        if self.wanted != self._settled_for:
            self._settled_for = self.wanted
            self._note(
                logging.INFO,
                f"{workers_text(self.wanted)} instead of {self._planned} (WORKER_COUNT=auto): "
                f"one more would need {bytes_text(memory.another, in_mib=True)} of memory; "
                f"{bytes_text(memory.used, in_mib=True)} of {bytes_text(limit, in_mib=True)} "
                "is in use, and a tenth is kept free for requests",
            )
        self._even_out()

    def _even_out(self) -> None:
        """Restart a worker that has a smaller share of the CPUs than it could have now."""
        serving = self.roster.serving()
        if self._preload or len(serving) < 2:
            return
        for member in serving:
            if member.share > self._share:
                self._note(logging.INFO, f"restarting {member} with a larger share of the CPUs")
                self._retire(member)
                return

    def _room_was_made(self, now: float) -> None:
        """Try again to start the workers for which memory was short: one has ended as asked."""
        if self._limit is not None and not self.stopping and not self.reloading:
            self.wanted = self._planned
            self._fill(now)

    # -- ending -------------------------------------------------------------------------------

    def _end(self, member: Member) -> None:
        member.state = RETIRING
        self._actions.append(End(member))

    def _kill(self, member: Member) -> None:
        member.state = RETIRING
        self._actions.append(Kill(member))

    def _kill_each(self, members: Iterable[Member]) -> None:
        for member in members:
            self._kill(member)

    def _end_idle_loaders(self) -> None:
        """End the loaders without children; children would end with their loader."""
        current = None if self.stopping else self.roster.loader(self.generation)
        for loader in self.roster.idle_loaders():
            if loader is not current:
                self._end(loader)

    def _unexpected(self, member: Member, death: Death, now: float) -> None:
        """Say why a process has ended unasked, and have it replaced."""
        self._actions.append(Died(death.reason, death.text))
        if member.ready_at:
            reference = death.report.get("reference", "")
            self._actions.append(Note(logging.ERROR, death.text, death.reason, reference))
        elif not self.ever_ready:
            self._first_start_failed(death.report)
            return
        else:
            self.last_failure = death.report
            self._actions.append(Report(death.report))
        if self._proves(member):
            self._reload_failed(death.report, now)
        else:
            self._replace(member, death, now)

    def _first_start_failed(self, report: dict[str, Any]) -> None:
        if not self.failed:  # of several workers that fail, what is told is what is logged
            self.failed = True
            self.last_failure = report
            self._actions.append(StartFailed(report))

    def _replace(self, member: Member, death: Death, now: float) -> None:
        if member.replaces is not None:
            member.replaces.being_replaced = False  # a replacement is tried again after the pause
        for other in self.roster.members:
            if other.replaces is member:
                other.replaces = None  # its replacement is already on the way
        if self.reloading and not self.roster.serving():
            # None of the old generation is left: each new worker serves as soon as it can.
            self.reloading = False
            self._serve_all_ready(now)
            self._reload_over(now, succeeded=True)
        if not death.came_with_loader:  # with their loader's these ends count as one
            self._fill_later(now)
        if not self.roster.serving() and not self.will_serve(now):
            self._actions.append(NobodyServes())

    # -- actions ------------------------------------------------------------------------------

    def _note(self, level: int, text: str) -> None:
        self._actions.append(Note(level, text))

    def _warn(self, text: str) -> None:
        self._note(logging.WARNING, text)

    def _taken(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions
