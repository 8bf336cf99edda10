"""Where does the time of a request go, function by function, in front and worker?

py-spy samples each process in turn while wrk keeps 64 connections busy. Shares are of the
samples in which the process was running; native functions are named where they can be told.
Sampling slows the server a little; it is not a speed measurement.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from harness import machine, payloads, processes, results, stacks, table, wrk
from harness.servers import CLIENT_CORE, RunningServer, running
from peers import catalogue
from peers.environments import prepare, prepare_tool


def sample(
    server: RunningServer, seconds: int, rate: int, connections: int
) -> dict[str, list[str]]:
    """Stacks of every busy process of the tree, by process."""
    tool = prepare_tool("py-spy") / "py-spy"
    busy = find_busy(server, connections)
    load = threading.Thread(
        target=wrk.apply,
        args=(server.port, payloads.GUIDE),
        kwargs={"seconds": (seconds + 2) * len(busy) + 2, "connections": connections},
    )
    load.start()
    found = {}
    for name, pid in busy.items():
        found[name] = spy(tool, pid, seconds, rate)
    load.join()
    return found


def find_busy(server: RunningServer, connections: int) -> dict[str, int]:
    """The processes that use more than a hundredth of the tree's time under load, by name."""
    before = server.tree()
    wrk.apply(server.port, payloads.GUIDE, seconds=2, connections=connections)
    spent = processes.spent_between(before, server.tree())
    least = processes.seconds(spent) / 100
    depth = {usage.pid: at for at, usage in enumerate(before)}
    folder = f"{sys.prefix}/bin/"
    return {
        f"process {depth.get(usage.pid, 0)}: {usage.command.replace(folder, '')[-60:]}": usage.pid
        for usage in spent
        if usage.seconds > least
    }


def spy(tool: Path, pid: int, seconds: int, rate: int) -> list[str]:
    """Sample one process."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "stacks"
        subprocess.run(
            ["taskset", "-c", CLIENT_CORE, tool, "record", "--native", "--function",
             "--pid", str(pid), "--duration", f"{seconds}", "--rate", str(rate),
             "--format", "raw", "--output", output],
            check=True, capture_output=True,
        )  # fmt: skip
        return output.read_text("utf-8").splitlines()


def as_table(found: Sequence[stacks.Share], least: float, limit: int) -> str:
    """The functions with the largest share."""
    shown = [share for share in found if max(share.own, share.total) >= least][:limit]
    rows = [[f"`{s.function}`", f"{s.own:.1%}", f"{s.total:.1%}"] for s in shown]
    return table.markdown(["function", "own", "with callees"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", nargs="?", default=catalogue.OURS_NAME)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=250)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--keep", type=Path, help="folder for the raw stacks")
    options = parser.parse_args()
    machine.pin_to_client()
    prepare([options.server])
    spec = catalogue.server(options.server)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(spec, payloads.GUIDE, Path(folder) / "server.log") as server,
    ):
        found = sample(server, options.seconds, options.rate, options.connections)
    parts = []
    for name, lines in found.items():
        parts.append(f"### {name}\n\n{as_table(stacks.shares(lines), 0.01, 60)}")
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{name.split(':')[0].replace(' ', '-')}.stacks").write_text(
                "\n".join(lines)
            )
    text = "\n".join(parts)
    print(text)
    summary = {
        name: [s.__dict__ for s in stacks.shares(lines)[:80]] for name, lines in found.items()
    }
    file = results.write("profile", __doc__ or "", [spec], {"summary": summary})
    file.with_suffix(".md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
