"""How many instructions does one request cost, in the front and in the worker?

User-space instructions under callgrind, with one connection and with 64. Steady to a percent or
two on any machine, so this is the number to watch for regressions; it leaves out the kernel,
which wall time and processor time include.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

from harness import callgrind, client, machine, payloads, results, table
from harness.servers import ServerSpec
from peers import catalogue
from peers.environments import prepare

ROLES = {
    catalogue.OURS_NAME: ("arbiter", "front", "worker"),
    "gunicorn": ("arbiter", "worker"),
    "flask": ("arbiter", "worker"),
    "azureml-inference-server-http": ("arbiter", "worker"),
}


def count(
    spec: ServerSpec, connections: int, requests: int, keep: Path | None = None
) -> dict[str, float]:
    """Instructions per request of each process of this server."""

    def drive(number: int) -> callgrind.Drive:
        return lambda port: client.exactly(port, payloads.GUIDE, number, connections)

    roles = ROLES[spec.name]
    warm = max(200, 4 * connections)
    short = callgrind.count_run(spec, payloads.GUIDE, drive(warm), roles)
    long = callgrind.count_run(spec, payloads.GUIDE, drive(warm + requests), roles, keep)
    return callgrind.per_request(short, long, requests)


def hottest(file: Path, lines: int = 40) -> str:
    """The C functions with the most instructions of their own."""
    shown = subprocess.run(
        ["callgrind_annotate", "--auto=no", "--threshold=90", file],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return "\n".join(shown.splitlines()[:lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", default=[catalogue.OURS_NAME])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 64])
    parser.add_argument("--keep", type=Path, help="folder for the callgrind files")
    options = parser.parse_args()
    machine.pin_to_client()
    prepare(options.servers)
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    rows, summary = [], {}
    specs = [catalogue.server(name) for name in options.servers]
    for spec in specs:
        for connections in options.connections:
            found = count(spec, connections, options.requests, options.keep)
            summary[f"{spec.name}, {connections} connections"] = found
            parts = ", ".join(f"{role} {value:,.0f}" for role, value in found.items())
            rows.append([spec.title, str(connections), f"{sum(found.values()):,.0f}", parts])
            print(rows[-1], flush=True)
    text = table.markdown(["server", "connections", "instructions per request", "of that"], rows)
    print(text)
    body = {"requests": options.requests, "summary": summary}
    file = results.write("instructions", __doc__ or "", specs, body)
    file.with_suffix(".md").write_text(text, "utf-8")
    if options.keep is not None and shutil.which("callgrind_annotate"):
        for kept in sorted(options.keep.glob("*.callgrind")):
            kept.with_suffix(".txt").write_text(hottest(kept), "utf-8")


if __name__ == "__main__":
    main()
