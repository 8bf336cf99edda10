"""The processes that a script has started, and that are left when its worker has ended.

Theory of operation. The kernel gives a process whose parent has ended to the nearest ancestor that
has asked for such orphans, and the front does (``adopt_orphans``). The front itself starts nothing
but workers and loaders. So every other child of the front's was a script's, whatever it has done to
get away: a session of its own, two forks, no environment. Nothing has to be watched while a worker
lives. Only when one has ended, the front looks through /proc once for the orphans that were its
own, and for everything below them:

* in the session of a worker that has ended, or with its mark (``MARK``) in the environment: those
  are its own. Workers lead a session each.
* in the session or with the mark of one that lives: those are left alone.
* with neither: they have a session of their own, and have dropped their environment, or have that
  of the loader from which their worker was forked. Each may be the child of any worker that was
  there when it was started, and is ended as soon as none of those lives.

What is left gets a moment to end by itself, as helpers do that read from their worker. Then each is
sent SIGTERM, and SIGKILL after a grace time. A worker ends first, in the time that it has for that;
so what it waits for is left to it.

If the front is killed, the kernel ends its workers, and their processes come to the arbiter, which
asks for orphans too. In a container it is process 1 and gets everybody's; so it ends only those
that have a mark of the front that has ended, and what is below them.

What this cannot do: end another user's process, such as one that sudo has started; end
anything when front and arbiter are killed in the same moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from scorehost.front.workers.roster import Member

MARK: Final = "_SCOREHOST_WORKER"
"""A variable in the environment of each scoring process: the pid of its front, and its own index.
What it starts inherits it."""
MOMENT: Final = 0.5
"""Seconds in which what is left may end by itself."""
GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""
ENDING_TAKES: Final = MOMENT + GRACE + 0.3
"""Seconds that all of it takes, for what SIGKILL ends at once."""
STEP: Final = 0.05
"""Seconds between two looks while something is being ended."""
_GIVE_UP: Final = 5.0
"""Seconds after SIGKILL in which even a process in a system call should have ended."""
_EMPTY_LOOKS: Final = 2
"""Looks in a row that must find nothing. One is not enough: a process that starts another program
has no environment for a moment, and one that forks while they are looked at may be missed."""
_MOST_NAMED: Final = 10
_PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)


class Process(NamedTuple):
    """One process, as /proc/PID/stat has it.

    Parameters
    ----------
    started : clock ticks since the machine was started; with the pid it names one process.
    """

    pid: int
    started: int
    name: str
    state: str
    parent: int
    session: int

    @property
    def mark(self) -> str:
        """The mark of the worker that started it; "" without one, or if that cannot be read."""
        try:
            with open(f"/proc/{self.pid}/environ", "rb") as file:  # noqa: PTH123 - proc
                variables = file.read().split(b"\0")
        except OSError:
            return ""
        prefix = MARK.encode() + b"="
        found = (each for each in variables if each.startswith(prefix))
        return next(found, b"=").partition(b"=")[2].decode("ascii", "replace")

    @property
    def identity(self) -> tuple[int, int]:
        return self.pid, self.started

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def mark_of(member: Member) -> str:
    """Return the mark of a scoring process that this process has started."""
    return f"{os.getpid()}-{member.index}"


def adopt_orphans() -> None:
    """Have the kernel give this process the orphans among its descendants."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def look_at(pid: int) -> Process | None:
    """Return one process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - proc
            text = file.read().decode("utf-8", "backslashreplace")
    except OSError:
        return None
    # A name may hold anything, parentheses too; what follows the last one does not.
    before, _, after = text.rpartition(")")
    fields = after.split()
    name = before.partition("(")[2]
    return Process(pid, int(fields[19]), name, fields[0], int(fields[1]), int(fields[3]))


def all_processes() -> list[Process]:
    """Return every process that can be seen."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - proc
    return [found for pid in pids if (found := look_at(pid)) is not None]


def with_descendants(roots: Iterable[Process], everything: Iterable[Process]) -> list[Process]:
    """Return processes and everything below them that has not ended, parents first."""
    children: dict[int, list[Process]] = {}
    for each in everything:
        children.setdefault(each.parent, []).append(each)
    found = {each.pid: each for each in roots}
    waiting = list(found.values())
    for process in waiting:
        new = [each for each in children.get(process.pid, []) if each.pid not in found]
        found.update((each.pid, each) for each in new)
        waiting += new
    return [each for each in found.values() if each.state not in "ZX"]


class Adopted:
    """The orphans that the front has adopted.

    Parameters
    ----------
    living : returns the workers and loaders that have not ended, as the roster has them.
    """

    def __init__(self, living: Callable[[], Iterable[Member]]) -> None:
        self._living = living
        self._ended: dict[int, str] = {}
        """Pids and marks of those that have ended."""
        self._since = _ticks(time.monotonic())
        """When this began; what other code in this process started before that is not ours."""

    def ended(self, member: Member) -> None:
        """Note that a worker has ended: what it has left is to end too."""
        self._ended[member.pid] = mark_of(member)

    def find(self) -> list[Process]:
        """Return what the workers that have ended have left, with all that is below it."""
        self.reap()
        everything, living = all_processes(), list(self._living())
        born = {each.pid: each.started for each in everything}
        front, workers = os.getpid(), {member.pid for member in living}
        adopted = [
            each
            for each in everything
            if each.parent == front and each.pid not in workers and each.started >= self._since
        ]
        roots = [each for each in adopted if self._is_left(each, living, born)]
        return with_descendants(roots, everything)

    def settled(self) -> None:
        """Note that what ended workers have left is gone; other processes may get their pids."""
        self._ended.clear()

    def _is_left(self, process: Process, living: list[Member], born: dict[int, int]) -> bool:
        """Whether nothing lives any more that may have started this process."""
        if process.session in self._ended:
            return True
        mark = process.mark
        for member in living:
            if process.session == member.pid or (mark == mark_of(member) and not member.is_loader):
                return False
        if mark in self._ended.values():
            return True
        return not any(_may_have_started(member, process, born) for member in living)

    def reap(self) -> None:
        """Reap what was adopted and has ended; workers are reaped where their end is noticed."""
        workers = {each.pid for each in self._living()}
        with contextlib.suppress(ChildProcessError):
            while True:
                wanted = os.WEXITED | os.WNOHANG | os.WNOWAIT
                found = os.waitid(os.P_ALL, 0, wanted)
                if found is None or found.si_pid in workers:
                    return
                process = look_at(found.si_pid)
                if process is None or process.started < self._since:
                    return
                os.waitpid(found.si_pid, os.WNOHANG)


def _may_have_started(member: Member, process: Process, born: dict[int, int]) -> bool:
    if process.started < born.get(member.pid, 0):
        return False
    # Once a loader is ready, it starts nothing but workers.
    return not member.is_loader or not member.ready_at or process.started <= _ticks(member.ready_at)


def _ticks(moment: float) -> int:
    """Return a moment of the monotonic clock (seconds) as /proc has it."""
    asleep = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return int((moment + asleep) * os.sysconf("SC_CLK_TCK"))


def marked_orphans(front: int) -> list[Process]:
    """Return what the scripts of one front have started, below this process, and all below that.

    Their worker need not have a mark: while it is ending it still has children, but has no
    environment any more.
    """
    everything, own, prefix = all_processes(), os.getpid(), f"{front}-"
    below = with_descendants((each for each in everything if each.parent == own), everything)
    return with_descendants((each for each in below if each.mark.startswith(prefix)), everything)


def ending(
    find: Callable[[], list[Process]], say: Callable[[str], None], now: Callable[[], float]
) -> Iterator[None]:
    """End processes: yields between two looks, and ends when nothing is left to do.

    Parameters
    ----------
    find : returns the processes that are to end and have not.
    say : takes a line for the log.
    now : the time in seconds, monotonic.
    """
    began = now()
    asked: dict[tuple[int, int], float] = {}
    killed: dict[tuple[int, int], float] = {}
    empty_looks = 0
    while empty_looks < _EMPTY_LOOKS:
        left, time_now = find(), now()
        empty_looks = 0 if left else empty_looks + 1
        if left and time_now - began >= MOMENT:
            fresh = [each for each in left if each.identity not in asked]
            late = [
                each
                for each in left
                if each.identity not in killed
                and time_now - asked.get(each.identity, time_now) >= GRACE
            ]
            if fresh:
                say(f"ending {_named(fresh)}, left by a scoring process that has ended")
            if late:
                say(f"killing {_named(late)}, which did not end within {GRACE:g} s of SIGTERM")
            for process in fresh:
                asked[process.identity] = time_now
                _send(process, signal.SIGTERM)
            for process in late:
                killed[process.identity] = time_now
                _send(process, signal.SIGKILL)
            if all(time_now - killed.get(each.identity, time_now) >= _GIVE_UP for each in left):
                say(f"even SIGKILL has not ended {_named(left)}")
                return
        yield


def _send(process: Process, number: int) -> None:
    """Send a signal to this very process, not to another that has its number by now."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        descriptor = os.pidfd_open(process.pid)
        try:
            found = look_at(process.pid)
            if found is not None and found.identity == process.identity:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _named(processes: list[Process]) -> str:
    count = len(processes)
    names = ", ".join(map(str, processes[:_MOST_NAMED]))
    more = f" and {count - _MOST_NAMED} more" if count > _MOST_NAMED else ""
    return f"{count} process{'es' if count != 1 else ''}: {names}{more}"
