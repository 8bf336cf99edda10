"""How many requests a second does a server answer on one core, and what does each one cost it?

The server has core 0, the client core 1; 64 connections are kept alive where the server allows;
the body is the small one of every page about a ``score.py``. Each sample is a fresh process, the
servers take turns, and ratios are taken within a round.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from harness import alone, payloads, results, table, trial
from harness.chart import Bar, bar_chart
from harness.servers import ServerSpec
from harness.trial import Rounds, ratio, spread_of
from peers import catalogue
from peers.environments import prepare

COLUMNS = ("us_per_request", "rate", "p50_ms", "p99_ms", "first_answer_s", "pss_mb")


def as_table(rounds: Rounds, specs: Sequence[ServerSpec], base: str) -> str:
    """The table of the README, the cheapest server first."""
    header = ["server", "processor µs per request", "requests/s", "p50 ms", "p99 ms",
              f"cost ÷ {base}", f"rate ÷ {base}"]  # fmt: skip
    ordered = sorted(specs, key=lambda spec: spread_of(rounds, spec.name, "us_per_request").median)
    rows = [
        [
            spec.title,
            spread_of(rounds, spec.name, "us_per_request").text(1),
            spread_of(rounds, spec.name, "rate").text(),
            spread_of(rounds, spec.name, "p50_ms").text(1),
            spread_of(rounds, spec.name, "p99_ms").text(1),
            ratio(rounds, spec.name, base, "us_per_request").text(2),
            ratio(rounds, spec.name, base, "rate").text(3),
        ]
        for spec in ordered
    ]
    return table.markdown(header, rows)


def as_chart(rounds: Rounds, specs: Sequence[ServerSpec], base: str) -> str:
    """The chart of the README."""
    bars = []
    for spec in specs:
        found = spread_of(rounds, spec.name, "rate")
        bars.append(Bar(spec.title, found.median, found.low, found.high, spec.name == base))
    bars.sort(key=lambda bar: bar.value, reverse=True)
    return bar_chart(
        "Requests a second on one core",
        "64 kept-alive connections, one worker, the same small run() (json + numpy)",
        f"Median of {len(rounds)} alternating runs; the line spans all of them.",
        bars,
    )


@dataclass(frozen=True)
class Plan:
    """How much is measured, and how; recorded with the result."""

    rounds: int = 10
    seconds: int = 5
    connections: int = 64
    unique_ids: bool = False


def measure(specs: Sequence[ServerSpec], plan: Plan) -> Rounds:
    """Alternate the servers under the same load."""

    def take_one(spec: ServerSpec) -> trial.Sample:
        return trial.take(
            spec,
            payloads.GUIDE,
            seconds=plan.seconds,
            connections=plan.connections,
            unique_ids=plan.unique_ids,
        )

    return trial.alternate(specs, plan.rounds, take_one)


def run(names: Sequence[str], base: str, plan: Plan, result: str = "throughput") -> None:
    """Measure, print the table, write samples, table and chart."""
    specs = [catalogue.server(name) for name in names]
    found = measure(specs, plan)
    shown = as_table(found, specs, base)
    print(shown)
    document = {
        "load": asdict(plan),
        "run_alone_us": alone.microseconds(),
        "summary": trial.summarise(found, base, COLUMNS),
        "samples": trial.as_json(found),
    }
    file = results.write(result, __doc__ or "", specs, document)
    file.with_suffix(".md").write_text(shown, "utf-8")
    file.with_suffix(".svg").write_text(as_chart(found, specs, base), "utf-8")
    print(f"Written: {file}, and the table and chart beside it\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", help="which servers; all when none is named")
    parser.add_argument("--base", default=catalogue.OURS_NAME, help="what ratios are to")
    parser.add_argument("--rounds", type=int, default=Plan.rounds)
    parser.add_argument("--seconds", type=int, default=Plan.seconds)
    parser.add_argument("--connections", type=int, default=Plan.connections)
    parser.add_argument(
        "--unique-ids", action="store_true", help="give each request an x-request-id of its own"
    )
    parser.add_argument("--name", default="throughput", help="name of the result files")
    options = parser.parse_args()
    names = options.servers or [catalogue.OURS_NAME, *catalogue.PEERS]
    prepare(names)
    plan = Plan(options.rounds, options.seconds, options.connections, options.unique_ids)
    run(names, options.base, plan, options.name)


if __name__ == "__main__":
    main()
