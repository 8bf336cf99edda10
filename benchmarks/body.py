"""What does a server add to a request with a 2 MB JSON body?

10,000 rows of ten floats go in, 10,000 floats come out. What is added is the client's time for
the whole call less ``x-ms-run-fn-exec-ms``, the time inside ``run()`` as the server states it.
Servers that do not state it show the whole call only.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import figures, machine, results, table
from harness.client import Call, Connection
from harness.servers import ServerSpec, Workload, running
from peers import catalogue
from peers.environments import prepare
from workloads import payloads

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", help="which servers; all when none is named")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--calls", type=int, default=25)
    options = parser.parse_args()
    names = options.servers or [catalogue.OURS_NAME, *catalogue.PEERS]
    prepare(names)
    specs = {name: catalogue.server(name) for name in names}
    machine.pin_to_client()
    found: dict[str, list[Found]] = {name: [] for name in names}
    for order in figures.alternation(names, options.rounds):
        for name in order:
            found[name].append(measure(specs[name], options.calls))
    rows, summary = [], {}
    for name in names:
        whole = figures.spread([ms for one in found[name] for ms in one.whole])
        added = [ms for one in found[name] for ms in one.added]
        shown = figures.spread(added).text(2) if added else "not stated"
        rows.append([specs[name].title, whole.text(1), shown])
        summary[name] = {"whole_ms": whole.__dict__}
        if added:
            summary[name]["added_ms"] = figures.spread(added).__dict__
    text = table.markdown(["server", "whole call ms", "added to run() ms"], rows)
    print(text)
    file = results.write("body", __doc__ or "", specs.values(), {"summary": summary})
    file.with_suffix(".md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
