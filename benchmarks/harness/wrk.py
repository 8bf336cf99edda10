"""Drive a server with ``wrk`` from the client's core and read what it found."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.servers import CLIENT_CORE, LOOPBACK, Workload

SCRIPT = Path(__file__).with_name("post.lua")


class LoadFailed(Exception):
    """The load could not be applied, or some answers were errors."""


@dataclass(frozen=True)
class Load:
    """What one run of wrk found.

    Parameters
    ----------
    requests : complete answers.
    seconds : how long it took.
    p50_ms, p99_ms : latency of a request, from writing it to its last byte; the time to connect
        again, where a server closes after each answer, is not in it.
    client_seconds : processor time wrk itself used; near ``seconds`` the client was the limit.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def apply(
    port: int,
    workload: Workload,
    *,
    seconds: int,
    connections: int,
    unique_ids: bool = False,
) -> Load:
    """Keep ``connections`` busy for some whole seconds; any error spoils the run.

    With ``unique_ids`` each request has an ``x-request-id`` of its own.
    """
    return parse(*drive(port, workload, seconds, connections, unique_ids=unique_ids))


def drive(
    port: int,
    workload: Workload,
    seconds: int,
    connections: int,
    *,
    unique_ids: bool = False,
) -> tuple[str, float]:
    """Keep connections busy whatever is answered; returns what wrk printed, and its time."""
    if shutil.which("wrk") is None:
        raise LoadFailed("wrk is not installed. On Debian: apt-get install wrk")
    environ = {**os.environ, "BENCH_BODY": workload.body.decode()}
    if unique_ids:
        environ["BENCH_UNIQUE_IDS"] = "1"
    before = _children_seconds()
    finished = subprocess.run(
        [
            "taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
            "--timeout", "20s", "-s", str(SCRIPT), f"http://{LOOPBACK}:{port}{workload.route}",
        ],
        env=environ,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if finished.returncode != 0:
        raise LoadFailed(finished.stderr or finished.stdout)
    return finished.stdout, _children_seconds() - before


def parse(output: str, client_seconds: float = 0.0) -> Load:
    """Read what a run found in which every answer was right."""
    found = read(output)
    errors = {name: count for name, count in found["errors"].items() if count}
    if errors:
        raise LoadFailed(f"{found['requests']} answers, and errors: {errors}")
    return Load(
        requests=found["requests"],
        seconds=found["us"] / 1e6,
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        client_seconds=client_seconds,
    )


def read(output: str) -> dict[str, Any]:
    """Read the line that our Lua script prints last."""
    marked = [line for line in output.splitlines() if line.startswith("BENCH ")]
    if not marked:
        raise LoadFailed(f"wrk printed no result:\n{output}")
    found: dict[str, Any] = json.loads(marked[-1].removeprefix("BENCH "))
    return found


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
