"""What is lost when a server stops, a worker is killed, or workers are replaced, under load?

Each repetition is a fresh server with sixteen clients that ask without pause, four of which
connect anew for every request:

- stop: SIGTERM; the server ends with status 0.
- killed worker: SIGKILL to one of two scoring processes, and the load goes on.
- recycle: workers are replaced after 300 requests each, five times.

A request is **lost** when it was sent whole on an accepted connection and got no complete answer,
**failed** when its answer is not the right one, and **cut** when a kept connection ended without a
word before it was sent.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from harness import payloads, processes, results, table
from harness.servers import RunningServer, ServerSpec, running
from harness.steady import SteadyLoad, Tally, over_tcp
from peers import catalogue

WAIT = 30.0
"""Seconds within which every fault must be over."""


def stop(server: RunningServer, load: SteadyLoad) -> None:
    """SIGTERM in the midst of it."""
    load.answers(300)
    os.kill(server.pid, signal.SIGTERM)
    wait_until(lambda: processes.has_ended(server.pid), "the server has ended")


def kill_a_worker(server: RunningServer, load: SteadyLoad) -> None:
    """SIGKILL to the newest scoring process."""
    load.answers(300)
    os.kill(max(usage.pid for usage in server.tree()), signal.SIGKILL)
    wait_until(lambda: "SIGKILL" in server.log.read_text(errors="replace"), "its end is told")
    load.answers(300)


def recycle(server: RunningServer, load: SteadyLoad) -> None:
    """Until five workers have been replaced."""
    del load
    replaced = "is being replaced"
    wait_until(lambda: server.log.read_text(errors="replace").count(replaced) >= 5, "five recycles")


FAULTS: dict[str, tuple[tuple[str, ...], Callable[[RunningServer, SteadyLoad], None], int]] = {
    "stop": ((), stop, 0),
    "killed worker": (("--workers", "2"), kill_a_worker, 1),
    "recycle": (("--workers", "2", "--max-requests", "300"), recycle, 0),
}
"""Flags of the server, what is done to it, and how many requests may fail each time."""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    until = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not within {WAIT:g} s")
        time.sleep(0.01)


def once(spec: ServerSpec, fault: Callable[[RunningServer, SteadyLoad], None]) -> Tally:
    """One repetition."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(spec, payloads.GUIDE, Path(folder) / "server.log") as server,
    ):
        load = SteadyLoad(over_tcp(server.port), payloads.GUIDE.body)
        with load:
            fault(server, load)
        return load.tally


def repeat(name: str, repetitions: int) -> dict[str, int]:
    """All repetitions of one fault, added up."""
    flags, fault, _ = FAULTS[name]
    spec = catalogue.ours("score.py", *flags)
    found: Counter[str] = Counter(
        repetitions=0, answered=0, lost=0, cut=0, failed=0, most_failed_at_once=0
    )
    for number in range(repetitions):
        tally = once(spec, fault)
        failed = tally.total - tally.answered[200]
        found["repetitions"] += 1
        found["answered"] += tally.total
        found["lost"] += len(tally.lost)
        found["cut"] += len(tally.cut)
        found["failed"] += failed
        found["most_failed_at_once"] = max(found["most_failed_at_once"], failed)
        for why in (*tally.lost, *tally.cut):
            print(f"{name} {number}: {why}", file=sys.stderr)
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=100)
    options = parser.parse_args()
    found = {}
    for name in FAULTS:
        found[name] = repeat(name, options.repetitions)
        print(name, found[name], file=sys.stderr, flush=True)
    header = ["fault", *next(iter(found.values())), "may fail at once"]
    rows = [
        [name, *(f"{count:,}" for count in counts.values()), str(FAULTS[name][2])]
        for name, counts in found.items()
    ]
    text = table.markdown([column.replace("_", " ") for column in header], rows)
    print(text)
    file = results.write("faults", __doc__ or "", [catalogue.ours("score.py")], {"found": found})
    file.with_suffix(".md").write_text(text, "utf-8")
    broken = [
        name
        for name, counts in found.items()
        if counts["lost"] or counts["cut"] or counts["most_failed_at_once"] > FAULTS[name][2]
    ]
    if broken:
        raise SystemExit("Something was lost: " + ", ".join(broken))


if __name__ == "__main__":
    main()
