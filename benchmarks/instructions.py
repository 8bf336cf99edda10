"""How many instructions does one request cost, in the front and in the worker?

User-space instructions under callgrind, with one connection and with 64. Steady to a percent or
two on any machine, so this is the number to watch for regressions; it leaves out the kernel,
which wall time and processor time include.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from harness import callgrind, client, machine, payloads, results, table
from harness.servers import ServerSpec
from peers import catalogue
from peers.environments import prepare

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
    few = callgrind.count_run(spec, payloads.GUIDE, drive(warm), roles, short)
    many = callgrind.count_run(spec, payloads.GUIDE, drive(warm + requests), roles, long)
    hottest = {
        role: callgrind.hottest(
            short / f"{role}.callgrind", long / f"{role}.callgrind", requests, FUNCTIONS
        )
        for role in roles[1:]
    }
    return callgrind.per_request(few, many, requests), hottest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", default=[catalogue.OURS_NAME])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 64])
    options = parser.parse_args()
    machine.pin_to_client()
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
    text = table.markdown(["server", "instructions per request", "of that"], rows)
    print(text)
    body = {"requests": options.requests, "summary": summary, "functions": functions}
    file = results.write("instructions", __doc__ or "", specs, body)
    file.with_suffix(".md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
