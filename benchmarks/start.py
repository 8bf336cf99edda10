"""How long from the command to the first right answer, and how much memory is that?

Each sample is a fresh process; the answer is asked for every five milliseconds. Memory is the
proportional set size of the whole tree, with one worker, after that answer and again after a
second of load.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from harness import results, table, trial
from harness.servers import ServerSpec
from harness.trial import Rounds, ratio, spread_of
from peers import catalogue
from peers.environments import prepare
from throughput import Plan, measure

BASE = "azureml-inference-server-http"
COLUMNS = ("first_answer_s", "pss_idle_mb", "pss_mb")


def as_table(rounds: Rounds, specs: Sequence[ServerSpec]) -> str:
    """Start and memory, the quickest first."""
    header = ["server", "first answer s", "÷ azureml", "PSS MB", "÷ azureml",
              "PSS MB after load", "÷ azureml"]  # fmt: skip
    ordered = sorted(specs, key=lambda spec: spread_of(rounds, spec.name, COLUMNS[0]).median)
    rows = []
    for spec in ordered:
        cells = [spec.title]
        for name, digits in zip(COLUMNS, (2, 0, 0), strict=True):
            cells.append(spread_of(rounds, spec.name, name).text(digits))
            cells.append(ratio(rounds, spec.name, BASE, name).text(2))
        rows.append(cells)
    return table.markdown(header, rows)


def run(names: Sequence[str], rounds: int) -> None:
    """Measure, print the table, write samples and table."""
    specs = [catalogue.server(name) for name in dict.fromkeys([*names, BASE])]
    measure(specs, Plan(1, 1, connections=8))  # the first start compiles and fills the page cache
    found = measure(specs, Plan(rounds, 1, connections=8))
    shown = as_table(found, specs)
    print(shown)
    document = {
        "load": {"rounds": rounds},
        "summary": trial.summarise(found, BASE, COLUMNS),
        "samples": trial.as_json(found),
    }
    file = results.write("start", __doc__ or "", specs, document)
    file.with_suffix(".md").write_text(shown, "utf-8")
    print(f"Written: {file}, and the table beside it\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", help="which servers; all when none is named")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    names = options.servers or [catalogue.OURS_NAME, *catalogue.PEERS]
    prepare([*names, BASE])
    run(names, options.rounds)


if __name__ == "__main__":
    main()
