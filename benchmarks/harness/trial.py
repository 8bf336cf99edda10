"""One sample: start a server fresh, warm it up, load it, read what it cost, end it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from harness import figures, machine, processes, wrk
from harness.servers import RunningServer, ServerSpec, Workload, running

Rounds: TypeAlias = "Sequence[Mapping[str, Sample]]"


@dataclass(frozen=True)
class Sample:
    """What one server did under one load.

    Parameters
    ----------
    us_per_request : processor time of all its processes per request, user and system.
    by_process : the same, user and system, split by process, largest first.
    foreign_share : how much of one core others used meanwhile; what the machine did besides this
        server and the client.
    """

    server: str
    rate: float
    p50_ms: float
    p99_ms: float
    us_per_request: float
    by_process: list[dict[str, object]]
    client_share: float
    foreign_share: float
    pss_idle_mb: float
    pss_mb: float
    first_answer_s: float

    @property
    def call_ms(self) -> float:
        """Time of one call, connecting included where needed; for a single connection only."""
        return 1000 / self.rate


def column(rounds: Rounds, server: str, name: str) -> list[float]:
    """One figure of one server, round by round."""
    return [float(getattr(samples[server], name)) for samples in rounds]


def spread_of(rounds: Rounds, server: str, name: str) -> figures.Spread:
    """Median and spread of one figure of one server."""
    return figures.spread(column(rounds, server, name))


def ratio(rounds: Rounds, server: str, base: str, name: str) -> figures.Spread:
    """One figure of a server divided by the base's, within each round."""
    return figures.ratios(column(rounds, server, name), column(rounds, base, name))


def summarise(rounds: Rounds, base: str, names: Sequence[str]) -> dict[str, object]:
    """Median and spread of some figures of every server, and their ratios to the base's."""
    return {
        server: {
            "figures": {name: asdict(spread_of(rounds, server, name)) for name in names},
            f"ratio_to_{base}": {name: asdict(ratio(rounds, server, base, name)) for name in names},
        }
        for server in rounds[0]
    }


def take(
    spec: ServerSpec,
    workload: Workload,
    *,
    seconds: int,
    connections: int,
    unique_ids: bool = False,
) -> Sample:
    """Measure one server once, after a second of the same load."""
    machine.wait_until_quiet()

    def load(port: int, seconds: int) -> wrk.Load:
        return wrk.apply(
            port, workload, seconds=seconds, connections=connections, unique_ids=unique_ids
        )

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with running(spec, workload, log) as server:
            idle = processes.pss(server.tree())
            load(server.port, 1)
            return _measure(server, lambda: load(server.port, seconds), idle)


def _measure(server: RunningServer, apply: Callable[[], wrk.Load], idle: int) -> Sample:
    before, busy = server.tree(), processes.machine_busy()
    load = apply()
    after, busy = server.tree(), processes.machine_busy() - busy
    used = processes.seconds(after) - processes.seconds(before)
    return Sample(
        server=server.spec.name,
        rate=load.rate,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        us_per_request=used / load.requests * 1e6,
        by_process=_by_process(processes.spent_between(before, after), load.requests),
        client_share=load.client_seconds / load.seconds,
        foreign_share=max(0.0, busy - used - load.client_seconds) / load.seconds,
        pss_idle_mb=idle / 2**20,
        pss_mb=processes.pss(after) / 2**20,
        first_answer_s=server.seconds_to_first_answer,
    )


def _by_process(spent: Sequence[processes.Usage], requests: int) -> list[dict[str, object]]:
    return [
        {
            "command": usage.command.replace(f"{machine.CHECKOUT}/", "")[-60:],
            "user_us": usage.user / requests * 1e6,
            "system_us": usage.system / requests * 1e6,
        }
        for usage in spent
        if usage.seconds > 0
    ]


def alternate(
    specs: Sequence[ServerSpec], rounds: int, take_one: Callable[[ServerSpec], Sample]
) -> list[dict[str, Sample]]:
    """Measure each server once a round, turning the order round every time."""
    machine.pin_to_client()
    by_name = {spec.name: spec for spec in specs}
    result: list[dict[str, Sample]] = []
    for turn, order in enumerate(figures.alternation(list(by_name), rounds), 1):
        result.append({name: take_one(by_name[name]) for name in order})
        shown = ", ".join(f"{name} {brief(result[-1][name])}" for name in by_name)
        print(f"round {turn}/{rounds}: {shown}", file=sys.stderr, flush=True)
    return result


def brief(sample: Sample) -> str:
    """One sample in a few characters, for the progress display."""
    return f"{sample.rate:,.0f}/s {sample.us_per_request:.1f} µs {sample.p50_ms:.2f} ms"


def as_json(rounds: Rounds) -> list[dict[str, object]]:
    """Every sample, in the order taken."""
    return [
        {"round": turn, **asdict(sample)}
        for turn, samples in enumerate(rounds, 1)
        for sample in samples.values()
    ]
