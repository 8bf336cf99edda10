"""How many instructions does one request cost, in the front and in the worker?

User-space instructions under callgrind; they leave out the kernel, which wall time and processor
time include. The worker's count, and that of the front's own code (``hot_path.py``), are the same
on every machine and at every load: these are the numbers to watch for regressions. The whole
front's also holds what its timers do, and under valgrind more of them pass for each request.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import callgrind, client, machine, payloads, results, table
from harness.servers import ServerSpec, plain_environment, running
from peers import catalogue
from peers.environments import prepare

TREE = Path(__file__).parents[1]
FUNCTIONS = 30
"""So many C functions of each process are recorded."""

ROLES = {
    catalogue.OURS_NAME: ("arbiter", "front", "worker"),
    "gunicorn": ("arbiter", "worker"),
    "flask": ("arbiter", "worker"),
    "azureml-inference-server-http": ("arbiter", "worker"),
}


def count(
    spec: ServerSpec, connections: int, requests: int, folder: Path
) -> tuple[dict[str, float], dict[str, list[tuple[str, float]]]]:
    """Instructions per request of each process, and their C functions with the most."""

    def drive(number: int) -> callgrind.Drive:
        return lambda port: client.exactly(port, payloads.GUIDE, number, connections)

    roles = ROLES[spec.name]
    warm = max(200, 4 * connections)
    short, long = folder / "short", folder / "long"
    short.mkdir(parents=True)
    long.mkdir()
    with running(spec, payloads.GUIDE, folder / "log"):
        pass  # Python compiles at the first start; both runs are to find that done
    few = callgrind.count_run(spec, payloads.GUIDE, drive(warm), roles, short)
    many = callgrind.count_run(spec, payloads.GUIDE, drive(warm + requests), roles, long)
    hottest = {
        role: callgrind.hottest(
            short / f"{role}.callgrind", long / f"{role}.callgrind", requests, FUNCTIONS
        )
        for role in roles[1:]
    }
    return callgrind.per_request(few, many, requests), hottest


def front_alone(tree: Path = TREE, cycles: int = 200) -> float:
    """Instructions per request of the front's own code: no kernel, no event loop, no clock.

    Parameters
    ----------
    tree : the checkout to count; its own ``hot_path.py`` knows its parts.
    cycles : requests of each of the 64 connections.
    """
    folder = tree / "benchmarks"
    program = [sys.executable, str(folder / "hot_path.py"), "--cycles"]
    path = os.pathsep.join((str(tree / "runtime"), str(folder)))
    environ = {**plain_environment(), "PYTHONPATH": path}
    subprocess.run([*program, "1"], env=environ, check=True)  # compiles
    # Now and then a run has something extra in it, never less.
    short, long = (
        min(callgrind.count_program([*program, str(number)], environ) for _ in range(2))
        for number in (0, cycles)
    )
    return (long - short) / cycles / 64


def against(revision: str) -> str:
    """Count the front's own code here and in another revision of the repository, in one run."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(TREE), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            there, here = front_alone(tree), front_alone()
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    rows = [
        [revision, f"{there:,.0f}", "1.0000"],
        ["here", f"{here:,.0f}", f"{here / there:.4f}"],
    ]
    return table.markdown(["the front's own code", "instructions per request", "ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", default=[catalogue.OURS_NAME])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 64])
    parser.add_argument("--against", metavar="REVISION", help="only the front, here and there")
    options = parser.parse_args()
    machine.pin_to_client()
    if options.against:
        print(against(options.against))
        return
    prepare(options.servers)
    specs = [catalogue.server(name) for name in options.servers]
    rows, summary, functions = [], {}, {}
    for spec in specs:
        for connections in options.connections:
            with tempfile.TemporaryDirectory() as folder:
                found, hottest = count(spec, connections, options.requests, Path(folder, "counts"))
            name = f"{spec.name}, {connections} connection{'s' if connections > 1 else ''}"
            summary[name], functions[name] = found, hottest
            parts = ", ".join(f"{role} {value:,.0f}" for role, value in found.items())
            rows.append([name, f"{sum(found.values()):,.0f}", parts])
            print(rows[-1], file=sys.stderr, flush=True)
    if catalogue.OURS_NAME in options.servers:
        alone = front_alone()
        summary["front, its own code"] = {"front": alone}
        rows.append(["front, its own code", f"{alone:,.0f}", "steady to a percent"])
    text = table.markdown(["server", "instructions per request", "of that"], rows)
    print(text)
    body = {"requests": options.requests, "summary": summary, "functions": functions}
    file = results.write("instructions", __doc__ or "", specs, body)
    file.with_suffix(".md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
