"""What does a server add to a request with a 2 MB JSON body?

10,000 rows of ten floats go in, 10,000 floats come out. What is added is the client's time for
the whole call less ``x-ms-run-fn-exec-ms``, the time inside ``run()`` as the server states it.
Servers that do not state it show the whole call only.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import figures, machine, payloads, results, table
from harness.client import Call, Connection
from harness.servers import ServerSpec, Workload, running
from peers import catalogue
from peers.environments import prepare

STATED = "x-ms-run-fn-exec-ms"


@dataclass(frozen=True)
class Found:
    """Milliseconds of each call to one server, and what it added to ``run()``."""

    whole: list[float]
    added: list[float]


def measure(spec: ServerSpec, calls: int) -> Found:
    """Call a fresh server some times on one connection, after five that are not counted."""
    workload = payloads.two_megabytes()
    machine.wait_until_quiet()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(spec, payloads.GUIDE, Path(folder) / "server.log") as server,
    ):
        client, request = Connection(server.port), workload.request(server.port)
        for _ in range(5):
            check(client.call(request), workload)
        answers = [client.call(request) for _ in range(calls)]
        client.close()
    for call in answers:
        check(call, workload)
    whole = [call.seconds * 1000 for call in answers]
    stated = [float(call.headers[STATED]) for call in answers if STATED in call.headers]
    added = [ms - inside for ms, inside in zip(whole, stated, strict=True)] if stated else []
    return Found(whole, added)


def check(call: Call, workload: Workload) -> None:
    """The answer is right; sums may differ in the last bits."""
    expected = workload.answer
    found = json.loads(call.body)
    assert call.status == 200, call
    assert isinstance(expected, list)
    assert len(found) == len(expected), f"{len(found)} numbers"
    assert math.isclose(found[-1], expected[-1], rel_tol=1e-9), found[-1]


def shown(values: Sequence[float], digits: int) -> str:
    """A median with its spread, where the server stated enough to have one."""
    return figures.spread(values).text(digits) if values else "not stated"


def run(names: Sequence[str], rounds: int, calls: int) -> None:
    """Measure, print the table, write samples and table."""
    machine.pin_to_client()
    specs = {name: catalogue.server(name) for name in names}
    found: dict[str, list[Found]] = {name: [] for name in names}
    for order in figures.alternation(list(names), rounds):
        for name in order:
            found[name].append(measure(specs[name], calls))
            print(f"{name}: {shown(found[name][-1].whole, 1)} ms", file=sys.stderr, flush=True)
    joined = {name: join(several) for name, several in found.items()}
    rows = [
        [specs[name].title, shown(one.whole, 1), shown(one.added, 2)]
        for name, one in joined.items()
    ]
    text = table.markdown(["server", "whole call ms", "added to run() ms"], rows)
    print(text)
    document = {
        "load": {"rounds": rounds, "calls": calls},
        "summary": {name: summarise(one) for name, one in joined.items()},
        "samples": {name: [asdict(one) for one in several] for name, several in found.items()},
    }
    file = results.write("body", __doc__ or "", specs.values(), document)
    file.with_suffix(".md").write_text(text, "utf-8")
    print(f"Written: {file}, and the table beside it\n")


def join(several: Sequence[Found]) -> Found:
    """The calls of all rounds together."""
    return Found(
        [ms for one in several for ms in one.whole], [ms for one in several for ms in one.added]
    )


def summarise(found: Found) -> dict[str, object]:
    """Medians and spreads of what there is."""
    series = {"whole_ms": found.whole, "added_ms": found.added}
    return {name: asdict(figures.spread(values)) for name, values in series.items() if values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", help="which servers; all when none is named")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--calls", type=int, default=25)
    options = parser.parse_args()
    names = options.servers or [catalogue.OURS_NAME, *catalogue.PEERS]
    prepare(names)
    run(names, options.rounds, options.calls)


if __name__ == "__main__":
    main()
