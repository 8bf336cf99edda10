"""How many requests a second does a server answer on one core, and what does each one cost it?

The server has core 0, the client core 1; 64 connections are kept alive where the server allows;
the body is the small one of every page about a ``score.py``. Each sample is a fresh process, the
servers take turns, and ratios are taken within a round.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from harness import results, table, trial
from harness.chart import Bar, bar_chart
from harness.servers import ServerSpec
from harness.trial import Rounds, ratio, spread_of
from peers import catalogue
from peers.environments import prepare
from workloads import alone, payloads

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


def measure(specs: Sequence[ServerSpec], rounds: int, seconds: float, connections: int) -> Rounds:
    """Alternate the servers under the same load."""
    return trial.alternate(
        specs,
        rounds,
        lambda spec: trial.take(spec, payloads.GUIDE, seconds=seconds, connections=connections),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", help="which servers; all when none is named")
    parser.add_argument("--base", default=catalogue.OURS_NAME, help="what ratios are to")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--name", default="throughput", help="name of the result files")
    options = parser.parse_args()
    names = options.servers or [catalogue.OURS_NAME, *catalogue.PEERS]
    prepare(names)
    specs = [catalogue.server(name) for name in names]
    rounds = measure(specs, options.rounds, options.seconds, options.connections)
    shown = as_table(rounds, specs, options.base)
    print(shown)
    load = {key: getattr(options, key) for key in ("rounds", "seconds", "connections")}
    found = {
        "load": load,
        "run_alone_us": alone.microseconds(),
        "summary": trial.summarise(rounds, options.base, COLUMNS),
        "samples": trial.as_json(rounds),
    }
    file = results.write(options.name, __doc__ or "", specs, found)
    file.with_suffix(".md").write_text(shown, "utf-8")
    file.with_suffix(".svg").write_text(as_chart(rounds, specs, options.base), "utf-8")
    print(f"Written: {file}, and the table and chart beside it")


if __name__ == "__main__":
    main()
