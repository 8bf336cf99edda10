"""How long does one client wait who sends one request after the other?

Each server in its native mode: kept alive where it can, connecting anew where it closes. The
ratio is of medians of the time from writing a request to the last byte of its answer, which
leaves out connecting and so favours the servers that close; the whole call is the second column.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from harness import alone, results, table, trial
from harness.servers import ServerSpec
from harness.trial import Rounds, ratio, spread_of
from peers import catalogue
from peers.environments import prepare
from throughput import Plan, measure

BASE = "gunicorn"
COLUMNS = ("p50_ms", "p99_ms", "call_ms", "us_per_request")


def as_table(rounds: Rounds, specs: Sequence[ServerSpec]) -> str:
    """Medians, the quickest first."""
    header = ["server", "p50 ms", "p99 ms", "whole call ms", "p50 ÷ bare gunicorn sync"]
    ordered = sorted(specs, key=lambda spec: spread_of(rounds, spec.name, "p50_ms").median)
    rows = [
        [
            spec.title,
            *(spread_of(rounds, spec.name, name).text(3) for name in COLUMNS[:3]),
            ratio(rounds, spec.name, BASE, "p50_ms").text(2),
        ]
        for spec in ordered
    ]
    return table.markdown(header, rows)


def run(names: Sequence[str], rounds: int, seconds: int) -> None:
    """Measure, print the table, write samples and table."""
    specs = [catalogue.server(name) for name in dict.fromkeys([*names, BASE])]
    plan = Plan(rounds, seconds, connections=1)
    found = measure(specs, plan)
    shown = as_table(found, specs)
    print(shown)
    document = {
        "load": asdict(plan),
        "run_alone_us": alone.microseconds(),
        "summary": trial.summarise(found, BASE, COLUMNS),
        "samples": trial.as_json(found),
    }
    file = results.write("latency", __doc__ or "", specs, document)
    file.with_suffix(".md").write_text(shown, "utf-8")
    print(f"Written: {file}, and the table beside it\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", help="which servers; all when none is named")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    names = options.servers or [catalogue.OURS_NAME, *catalogue.PEERS]
    prepare([*names, BASE])
    run(names, options.rounds, options.seconds)


if __name__ == "__main__":
    main()
