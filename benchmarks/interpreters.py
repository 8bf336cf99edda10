"""What does it cost when the script has an interpreter of its own?

The same workload four times: in the server's own Python; in an environment of the same Python; in
Python 3.8; in Python 3.8 without orjson. Rate, processor time, start and memory, and for large
answers the time of one call.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness import figures, machine, results, servers, table, trial
from harness.servers import ServerSpec, Workload, running
from harness.trial import Rounds, ratio, spread_of
from peers import catalogue
from throughput import Plan, measure

BASE = "one Python for both"
COLUMNS = ("rate", "us_per_request", "first_answer_s", "pss_mb")
LARGE = ("floats", "with a NaN", "float32", "texts")
"""Answers of ``large_answers.py``, each of some megabytes."""


def environment(name: str, python: str, *packages: str) -> Path:
    """Make an environment under ``.envs``, or find it there."""
    folder = catalogue.ENVIRONMENTS / name.replace(" ", "-")
    if not (folder / "bin" / "python").exists():
        uv = Path(sys.executable).parent / "uv"
        environ = os.environ | {"UV_SYSTEM_CERTS": "true"}
        for words in (
            ["venv", "--python", python, str(folder)],
            ["pip", "install", "--python", str(folder / "bin" / "python"), *packages],
        ):
            subprocess.run([uv, *words, "--quiet"], check=True, env=environ)
    return folder


def specs(old: str) -> list[ServerSpec]:
    """The four, each under a name that says where its script runs."""
    same = [f"{name}=={importlib.metadata.version(name)}" for name in ("numpy", "orjson")]
    own = catalogue.ours()
    found = [dataclasses.replace(own, name=BASE, title=BASE)]
    for name, python, packages in (
        ("an environment of the same Python", sys.executable, same),
        ("Python 3.8", old, ["numpy", "orjson"]),
        ("Python 3.8 without orjson", old, ["numpy"]),
    ):
        folder = environment(name, python, *packages)
        command = (*own.command, "--python", str(folder))
        found.append(
            dataclasses.replace(
                own,
                name=name,
                title=name,
                command=command,
                python=folder / "bin" / "python",
                packages=("numpy", "orjson"),
            )
        )
    return found


def as_table(rounds: Rounds, names: Sequence[str]) -> str:
    """Each figure with its ratio to one Python for both."""
    header = ["the script runs in", "requests/s", "ratio", "processor µs per request", "ratio",
              "first answer s", "ratio", "PSS MB", "ratio"]  # fmt: skip
    rows = []
    for name in names:
        cells = [name]
        for column, digits in zip(COLUMNS, (0, 1, 3, 1), strict=True):
            cells.append(spread_of(rounds, name, column).text(digits))
            cells.append(ratio(rounds, name, BASE, column).text(3))
        rows.append(cells)
    return table.markdown(header, rows)


def call_times(spec: ServerSpec, calls: int) -> dict[str, float]:
    """Return the median time of a call, in milliseconds, for each large answer."""
    machine.wait_until_quiet()
    command = tuple("large_answers.py" if word == "score.py" else word for word in spec.command)
    spec = dataclasses.replace(spec, command=command)
    with tempfile.TemporaryDirectory() as folder:
        first = Workload(json.dumps("ready").encode(), "ready")
        with running(spec, first, Path(folder) / "server.log") as server:
            return {
                name: figures.spread([one_call(server.port, name) for _ in range(calls)]).median
                for name in LARGE
            }


def one_call(port: int, name: str) -> float:
    began = time.monotonic()
    status, _ = servers.ask(port, Workload(json.dumps(name).encode(), None))
    if status != 200:
        raise SystemExit(f"{name}: status {status}")
    return (time.monotonic() - began) * 1000


def large_answers(found: Sequence[dict[str, dict[str, float]]], names: Sequence[str]) -> str:
    """The time of one call for each kind of large answer."""
    rows = []
    for name in names:
        cells = [name]
        for kind in LARGE:
            values = [each[name][kind] for each in found]
            base = [each[BASE][kind] for each in found]
            cells.append(figures.spread(values).text(1))
            cells.append(figures.ratios(values, base).text(2))
        rows.append(cells)
    header = ["the script runs in"]
    for kind in LARGE:
        header += [f"{kind}, ms", "ratio"]
    return table.markdown(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python38", default="python3.8", help="a Python 3.8")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    machine.pin_to_client()
    chosen = specs(options.python38)
    names = [spec.name for spec in chosen]
    measure(chosen, Plan(1, 1, connections=8))  # the first start compiles what it imports
    rounds = measure(chosen, Plan(options.rounds, options.seconds, connections=64))
    calls = [
        {spec.name: call_times(spec, 20) for spec in chosen}
        for _ in range(options.rounds // 3 or 1)
    ]
    shown = f"{as_table(rounds, names)}\n{large_answers(calls, names)}"
    print(shown)
    document = {
        "summary": trial.summarise(rounds, BASE, COLUMNS),
        "samples": trial.as_json(rounds),
        "large answers, ms": calls,
    }
    file = results.write("interpreters", __doc__ or "", chosen, document)
    file.with_suffix(".md").write_text(shown, "utf-8")
    print(f"Written: {file}, and the tables beside it")


if __name__ == "__main__":
    main()
