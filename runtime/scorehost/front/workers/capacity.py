"""How many scoring workers, and why.

``auto`` takes the CPUs the container may use, rounded down, at least one. Memory only lowers
that: workers are started one by one until the next would not fit, judged by what a loaded one
holds for itself. How much ``run()`` will need can't be known: part of the limit is kept free for
it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from scorehost.diagnosis.cgroup import Limits
from scorehost.settings import Settings
from scorehost.values import bytes_text

KEPT_FREE: Final = 0.1
"""Part of the memory limit that is not planned for workers: requests need memory too."""


@dataclass(frozen=True)
class Plan:
    """How many workers to start.

    Parameters
    ----------
    count : scoring workers.
    cpus : CPUs they share.
    explanation : for the log.
    memory_bytes : the limit that may lower the count; None when there is none.
    oom_kills : the control group's count of out-of-memory kills until now.
    """

    count: int
    cpus: float
    explanation: str
    memory_bytes: int | None = None
    oom_kills: int | None = None


def plan_workers(settings: Settings, limits: Limits, available: int | None = None) -> Plan:
    """Decide the number of workers from the setting and the container's limits.

    Parameters
    ----------
    settings : WORKER_COUNT.
    limits : the control group's.
    available : CPUs this process may run on; the kernel is asked unless given.
    """
    here = float(len(os.sched_getaffinity(0)) if available is None else available)
    cpus = min(here, limits.cpus) if limits.cpus else here
    if settings.worker_count is not None:
        count = settings.worker_count
        text = f"{workers_text(count)}, as configured (WORKER_COUNT)"
        return Plan(count, cpus, text, oom_kills=limits.oom_kills)
    count = max(1, int(cpus))
    where = f"the control group allows {limits.cpus:g}" if limits.cpus else "no quota"
    memory = ""
    if limits.memory_bytes and count > 1:
        allowed = bytes_text(limits.memory_bytes, in_mib=True)
        memory = f", {allowed} of memory; started one at a time while memory allows"
    text = f"{workers_text(count)} (WORKER_COUNT=auto): {here:g} CPUs, {where}{memory}"
    decides = limits.memory_bytes if count > 1 else None
    return Plan(count, cpus, text, decides, limits.oom_kills)


def workers_text(count: int) -> str:
    """Return a number of workers in words."""
    return f"{count} scoring worker{'s' if count != 1 else ''}"


@dataclass(frozen=True)
class Memory:
    """What all processes hold, and what one more worker would.

    Parameters
    ----------
    used : bytes of all processes, with what they share counted once.
    another : bytes that the newest worker holds for itself alone.
    """

    used: int
    another: int

    def how_many_more(self, limit: int) -> int:
        """Return how many more workers would fit under the limit now."""
        free = limit * (1 - KEPT_FREE) - self.used
        return max(0, int(free // max(1, self.another)))


def measure(processes: Iterable[int], newest: int) -> Memory:
    """Measure processes; takes about a millisecond for each 100 MB they hold.

    Parameters
    ----------
    processes : pids of all processes of the server.
    newest : pid of the scoring worker that became ready last.
    """
    used = sum(_rollup(pid)[0] for pid in processes)
    return Memory(used, _rollup(newest)[1])


def _rollup(pid: int) -> tuple[int, int]:
    """Return proportional and private bytes of a process (proc(5)); zeros when it is gone."""
    proportional = private = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:  # noqa: PTH123 - proc
            for line in file:
                name, _, rest = line.partition(":")
                if name == "Pss":
                    proportional = int(rest.split()[0]) << 10
                elif name in ("Private_Clean", "Private_Dirty"):
                    private += int(rest.split()[0]) << 10
    except (OSError, ValueError, IndexError):
        return 0, 0
    return proportional, private
