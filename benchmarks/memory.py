"""Do four preloaded workers share one model?

A model of 300 MB of numpy arrays; the proportional set size of the whole tree with four workers
and ``--preload`` against that with one worker, when all are up and again after 10,000 requests.
Sharing ends silently where something writes to the model's pages, so it is measured, not assumed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from harness import figures, machine, payloads, processes, results, table, wrk
from harness.servers import RunningServer, ServerSpec, running
from peers import catalogue

REQUESTS = 10_000
SHAPES = {
    "one worker": ("--workers", "1"),
    "four preloaded workers": ("--workers", "4", "--preload"),
}


def measure(spec: ServerSpec, at_least: int) -> dict[str, float]:
    """PSS in MB of a fresh server, before and after the requests."""
    machine.wait_until_quiet()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with running(spec, payloads.LARGE_MODEL, log, limit=120) as server:
            tree = wait_for_processes(server, at_least)
            before = processes.pss(tree)
            answered = load(server.port)
            after = server.tree()
            return {
                "before": before / 2**20,
                "after": processes.pss(after) / 2**20,
                "processes": len(after),
                "requests": answered,
            }


def wait_for_processes(server: RunningServer, at_least: int) -> list[processes.Usage]:
    """The tree once all its processes have been there for a second without using any time."""
    until = time.monotonic() + 60
    tree = server.tree()
    while time.monotonic() < until:
        used, pids = processes.seconds(tree), {usage.pid for usage in tree}
        time.sleep(1)
        tree = server.tree()
        quiet = processes.seconds(tree) - used < 0.05
        if quiet and len(tree) >= at_least and {usage.pid for usage in tree} == pids:
            return tree
    raise SystemExit(f"{len(tree)} processes, {at_least} expected, or never quiet: {tree}")


def load(port: int) -> int:
    """At least the promised number of requests."""
    answered = 0
    while answered < REQUESTS:
        answered += wrk.apply(port, payloads.LARGE_MODEL, seconds=1, connections=16).requests
    return answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    machine.pin_to_client()
    specs = {name: catalogue.ours("large_model.py", *flags) for name, flags in SHAPES.items()}
    one, four = SHAPES
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SHAPES}
    for order in figures.alternation(list(SHAPES), options.rounds):
        for name in order:
            found[name].append(measure(specs[name], 6 if name == four else 3))
            print(name, found[name][-1], flush=True)
    summary, rows = {}, []
    for when in ("before", "after"):
        values = {name: [one_found[when] for one_found in found[name]] for name in SHAPES}
        shown = figures.ratios(values[four], values[one])
        summary[when] = {
            **{name: asdict(figures.spread(values[name])) for name in SHAPES},
            "ratio": asdict(shown),
        }
        label = "when all are up" if when == "before" else f"after {REQUESTS:,} requests"
        rows.append([label, *(figures.spread(values[n]).text() for n in SHAPES), shown.text(3)])
    text = table.markdown(["PSS of the whole tree, MB", *SHAPES, "ratio"], rows)
    print(text)
    file = results.write(
        "memory", __doc__ or "", [specs[one]], {"summary": summary, "samples": found}
    )
    file.with_suffix(".md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
