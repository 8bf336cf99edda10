"""Why a scoring process ended: everything the front knows about it, put together.

That is the exit status, the signal, what faulthandler wrote, the control group's out-of-memory
counter, the most memory it held, the request inside, and its last lines of output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scorehost.diagnosis.cgroup import read_limits
from scorehost.diagnosis.deaths import explain_exit
from scorehost.diagnosis.report import report_death
from scorehost.front.workers.handle import WorkerHandle
from scorehost.settings import Settings


@dataclass(frozen=True)
class End:
    """An explained end.

    Parameters
    ----------
    reason : one of a small closed set, for the metric.
    text : for the log.
    outline : what anybody may be told.
    report : the whole report, as values.
    oom_kills : the control group's out-of-memory counter now.
    """

    reason: str
    text: str
    outline: str
    report: dict[str, Any]
    oom_kills: int | None


def explain_end(
    handle: WorkerHandle,
    settings: Settings,
    oom_before: int | None,
    request_id: str = "",
    reference: str = "",
) -> End:
    """Explain the end of a process.

    Parameters
    ----------
    oom_before : the out-of-memory counter at its start.
    request_id : the request inside; "" for none.
    reference : what the server's answers name instead; "" where there are none.
    """
    assert handle.returncode is not None  # noqa: S101 - it has ended
    limits = read_limits()
    stacks = handle.read_stacks()
    death = explain_exit(
        handle.returncode,
        oom_before=oom_before,
        oom_after=limits.oom_kills,
        memory_limit=limits.memory_bytes,
        peak_bytes=handle.peak_bytes or None,
        request_id=request_id,
        stacks=stacks,
        killed_for=handle.kill_reason,
        start_limit=settings.worker_timeout,
    )
    report = report_death(
        stage=handle.stage,
        script=settings.script,
        cause=death.text,
        hint=death.hint,
        stacks=stacks,
        output="\n".join(handle.last_lines),
        app_root=settings.root,
    )
    report.reference = reference
    lines = [f"{handle.member}: {death.text}{f' Reference {reference}.' if reference else ''}"]
    if death.hint:
        lines.append(f"  hint: {death.hint}")
    if report.stacks:
        lines += ["  last stacks:", *("    " + line for line in report.stacks.splitlines())]
    text = "\n".join(lines)
    return End(death.reason, text, death.outline, report.to_dict(), limits.oom_kills)
