"""How many scoring workers, and why.

``auto`` takes the CPUs the container may use, rounded down, at least one. Memory only lowers
that: workers are started one by one until the next would not fit.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from scorehost.diagnosis.cgroup import Limits
from scorehost.settings import Settings


@dataclass(frozen=True)
class Plan:
    """How many workers to start.

    Parameters
    ----------
    count : scoring workers.
    cpus : CPUs they share.
    explanation : for the log.
    memory_bytes : the limit that may lower the count, None when there is none.
    """

    count: int
    cpus: float
    explanation: str
    memory_bytes: int | None = None


def plan_workers(settings: Settings, limits: Limits) -> Plan:
    """Decide the number of workers from the setting and the container's limits."""
    available = float(len(os.sched_getaffinity(0)))
    cpus = min(available, limits.cpus) if limits.cpus else available
    where = f"the control group allows {limits.cpus:g}" if limits.cpus else "no quota"
    if settings.worker_count is not None:
        count = settings.worker_count
        text = f"{count} scoring worker{'s' if count != 1 else ''}, as set (WORKER_COUNT)"
        return Plan(count, cpus, text)
    count = max(1, int(cpus))
    text = (
        f"{count} scoring worker{'s' if count != 1 else ''} (WORKER_COUNT=auto): "
        f"{available:g} CPUs, {where}"
    )
    return Plan(count, cpus, text, limits.memory_bytes)
