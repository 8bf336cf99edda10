"""What a tree of processes costs: processor time and memory, read from ``/proc``.

Linux only. Processor time has the kernel's resolution of one tick (10 ms) a process, which is
0.2 % of a five-second load. Memory is the proportional set size: a page that four forked workers
share counts once, not four times.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")
_AFTER_NAME = 3
"""Fields in ``/proc/PID/stat`` are numbered from 1, and the first after the name is the third."""


@dataclass(frozen=True)
class Usage:
    """One process: its place in the tree and the seconds it and its reaped children used."""

    pid: int
    parent: int
    command: str
    user: float
    system: float

    @property
    def seconds(self) -> float:
        """User and system time together."""
        return self.user + self.system


def read_usage(pid: int) -> Usage | None:
    """One process's usage; None when it has gone."""
    try:
        stat = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
        command = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    name, rest = _split_stat(stat)
    user, system, children_user, children_system = (
        int(rest[number - _AFTER_NAME]) * TICK for number in (14, 15, 16, 17)
    )
    shown = command.replace(b"\0", b" ").decode("utf-8", "replace").strip() or name
    return Usage(pid, int(rest[1]), shown, user + children_user, system + children_system)


def _split_stat(stat: str) -> tuple[str, list[str]]:
    """Name and the fields after it; the name may hold spaces and parentheses."""
    before, _, after = stat.rpartition(")")
    return before.partition("(")[2], after.split()


def tree(root: int) -> list[Usage]:
    """The process and everything below it, parents first."""
    everything = [usage for pid in _all_pids() if (usage := read_usage(pid)) is not None]
    below: dict[int, list[Usage]] = {}
    for usage in everything:
        below.setdefault(usage.parent, []).append(usage)
    found = [usage for usage in everything if usage.pid == root]
    for usage in found:  # grows while it is read: breadth first
        found.extend(below.get(usage.pid, []))
    return found


def _all_pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to notice."""
    try:
        stat = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return True
    return _split_stat(stat)[1][0] in "ZX"


def seconds(usages: list[Usage]) -> float:
    """Processor time of a whole tree."""
    return sum(usage.seconds for usage in usages)


def spent_between(before: list[Usage], after: list[Usage]) -> list[Usage]:
    """What each process used between two readings, largest first; newcomers started at zero."""
    earlier = {usage.pid: usage for usage in before}
    spent = []
    for usage in after:
        known = earlier.get(usage.pid)
        user = usage.user - (known.user if known else 0.0)
        system = usage.system - (known.system if known else 0.0)
        spent.append(Usage(usage.pid, usage.parent, usage.command, user, system))
    return sorted(spent, key=lambda usage: usage.seconds, reverse=True)


def pss(usages: list[Usage]) -> int:
    """Proportional set size of a tree in bytes."""
    return sum(read_pss(usage.pid) for usage in usages)


def read_pss(pid: int) -> int:
    """Proportional set size of one process in bytes; 0 when it has gone."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def machine_busy() -> float:
    """Seconds that all processors together have been busy since the machine started."""
    fields = (PROC / "stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(item) for item in fields[:8])
    return (user + nice + system + irq + softirq + steal) * TICK
