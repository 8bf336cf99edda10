"""Count the instructions of a server's processes with valgrind's callgrind.

Instructions do not depend on who else uses the machine, so a regression shows on any laptop.
What a run costs besides requests (starting, importing, ending) cancels out: the count per
request is the difference of a long run and a short one, divided by the difference in requests.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from harness.servers import RunningServer, ServerSpec, Workload, plain_environment, running

_FUNCTION = re.compile(
    r"^ *(?P<count>[\d,]+)\s+\S*?:(?P<name>[^\s\[]+?)(?:'\d+)?(?: \[(?P<object>[^]]*)\])?$"
)
_SHIM = Path(__file__).with_name("under_valgrind")

Drive: TypeAlias = Callable[[int], None]
"""Something that sends requests to a port."""

START_LIMIT = 180
"""Seconds: everything is some fifty times slower under valgrind."""


class CountFailed(Exception):
    """Valgrind is not there, or a process left no count."""


def counted(command: Sequence[str], folder: Path) -> tuple[str, ...]:
    """The same command with callgrind around every process."""
    if shutil.which("valgrind") is None:
        raise CountFailed("valgrind is not installed. On Debian: apt-get install valgrind")
    return (
        "valgrind", "--tool=callgrind", "--trace-children=yes", "--quiet",
        f"--callgrind-out-file={folder}/count.%p", *command,
    )  # fmt: skip


def count_program(command: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Instructions of a program that ends by itself, without its children."""
    with tempfile.TemporaryDirectory() as name:
        environ = {**(environ or plain_environment()), "PYTHONHASHSEED": "0"}
        process = subprocess.Popen(counted(command, Path(name)), env=environ)
        if process.wait() != 0:
            raise CountFailed(f"{' '.join(command)} ended with status {process.returncode}")
        return read_total(Path(name) / f"count.{process.pid}")


def under_valgrind(spec: ServerSpec, folder: Path) -> ServerSpec:
    """The same server with callgrind around every process."""
    command = counted(spec.command, folder)
    path = spec.environ.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    environ = {
        **spec.environ,
        "PYTHONPATH": f"{_SHIM}{os.pathsep}{path}".rstrip(os.pathsep),
        "PYTHONHASHSEED": "0",  # the same dictionaries in both runs
    }
    return dataclasses.replace(spec, command=command, environ=environ)


def count_run(
    spec: ServerSpec, workload: Workload, drive: Drive, roles: Sequence[str],
    keep: Path | None = None,
) -> dict[str, int]:  # fmt: skip
    """Instructions of each process of one whole run, by role.

    Roles name the processes of the tree from the root down, parents first.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wrapped = under_valgrind(spec, folder)
        with running(wrapped, workload, folder / "log", limit=START_LIMIT, grace=120) as server:
            drive(server.port)
            pids = _pids(server, roles)
        counts = {role: read_total(folder / f"count.{pid}") for role, pid in pids.items()}
        if keep is not None:
            for role, pid in pids.items():
                shutil.copy(folder / f"count.{pid}", keep / f"{role}.callgrind")
        return counts


def _pids(server: RunningServer, roles: Sequence[str]) -> dict[str, int]:
    tree = server.tree()
    if len(tree) != len(roles):
        shown = "\n".join(f"{usage.pid} {usage.command}" for usage in tree)
        raise CountFailed(f"{len(roles)} processes expected ({', '.join(roles)}), found:\n{shown}")
    return {role: usage.pid for role, usage in zip(roles, tree, strict=True)}


def read_total(file: Path) -> int:
    """The total that callgrind wrote at the end of its file."""
    if not file.is_file():
        raise CountFailed(f"{file.name} is missing: its process was killed before it could count")
    return parse_total(file.read_text("utf-8", "replace"))


def parse_total(text: str) -> int:
    """The sum of all parts in a callgrind file."""
    totals = [line for line in text.splitlines() if line.startswith(("totals:", "summary:"))]
    if not totals:
        raise CountFailed("no total in the callgrind file")
    return int(totals[-1].split(":")[1].split()[0])


def by_function(file: Path) -> dict[str, int]:
    """Instructions of each C function itself, as callgrind_annotate tells them."""
    shown = subprocess.run(
        ["callgrind_annotate", "--auto=no", "--threshold=100", "--show-percs=no", file],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return parse_functions(shown)


def parse_functions(text: str) -> dict[str, int]:
    """Read callgrind_annotate's list; recursive copies of a function are added up."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        match = _FUNCTION.match(line)
        if match:
            found[f"{match['name']} ({Path(match['object'] or '?').name})"] += int(
                match["count"].replace(",", "")
            )
    return dict(found)


def hottest(short: Path, long: Path, more: int, limit: int) -> list[tuple[str, float]]:
    """The C functions with the most instructions of their own per request."""
    before, after = by_function(short), by_function(long)
    spent = {name: (count - before.get(name, 0)) / more for name, count in after.items()}
    return sorted(spent.items(), key=lambda item: item[1], reverse=True)[:limit]


def per_request(short: dict[str, int], long: dict[str, int], more: int) -> dict[str, float]:
    """Instructions per request of each role, from a short and a long run."""
    return {role: (long[role] - short[role]) / more for role in short}
