"""Is one commit faster than another?

Checks both out beside this tree, serves the same workload from each with this environment's
packages, alternates them, and prints processor time per request, rate and latency with the
ratio. ``python benchmarks/compare.py main`` compares the working tree with ``main``.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
from pathlib import Path

from harness import machine, results, table, trial
from harness.servers import ServerSpec
from harness.trial import Rounds, ratio, spread_of
from peers import catalogue
from throughput import COLUMNS, Plan, measure

WORKING_TREE = "working tree"


def server_of(revision: str) -> ServerSpec:
    """The server as it is at a revision, or in the working tree."""
    source = machine.CHECKOUT if revision == WORKING_TREE else check_out(revision)
    spec = catalogue.ours(source=source / "runtime")
    return dataclasses.replace(spec, name=revision, title=revision)


def check_out(revision: str) -> Path:
    """A worktree of a revision under ``.envs/commits``; made once for each commit."""
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    folder = catalogue.ENVIRONMENTS / "commits" / commit[:12]
    if not folder.is_dir():
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", str(folder), commit)
    return folder


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(machine.CHECKOUT), *arguments],
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def as_table(rounds: Rounds, base: str, other: str) -> str:
    """Each figure of both, and the ratio within rounds."""
    rows = [
        [
            name,
            spread_of(rounds, base, name).text(2),
            spread_of(rounds, other, name).text(2),
            ratio(rounds, other, base, name).text(3),
        ]
        for name in COLUMNS
    ]
    return table.markdown(["", base, other, "ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="a commit, branch or tag")
    parser.add_argument("other", nargs="?", default=WORKING_TREE)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    specs = [server_of(options.base), server_of(options.other)]
    rounds = measure(specs, Plan(options.rounds, options.seconds, options.connections))
    print(as_table(rounds, options.base, options.other))
    found = {
        "summary": trial.summarise(rounds, options.base, COLUMNS),
        "samples": trial.as_json(rounds),
    }
    print(f"Written: {results.write('compare', __doc__ or '', specs, found)}")


if __name__ == "__main__":
    main()
