"""Run the locust load against a server that is there, or against one started for it.

The one that is started runs ``workloads/two_milliseconds.py`` with one worker. Writes
``results/load.html`` (locust's own report) and ``results/load.json`` (the steps).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import machine, payloads, results
from harness.servers import CLIENT_CORE, LOOPBACK, running
from peers import catalogue

FOLDER = Path(__file__).parent
SCRIPT = "two_milliseconds.py"


@contextlib.contextmanager
def some_server(host: str) -> Iterator[str]:
    """The address of the server that was named, or of one that is started and ended here."""
    if host:
        yield host
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        running(catalogue.ours(SCRIPT), payloads.SUMS, Path(folder) / "server.log") as server,
    ):
        yield f"http://{LOOPBACK}:{server.port}"


def run_locust(host: str, steps: Path, more: list[str]) -> int:
    """Headless locust, to the end of its search."""
    command = [
        "taskset", "-c", CLIENT_CORE, sys.executable, "-m", "locust",
        "--locustfile", str(FOLDER / "locustfile.py"), "--headless", "--only-summary",
        "--loglevel", "WARNING", "--host", host, "--html", str(results.RESULTS / "load.html"),
        "--steps-file", str(steps), *more,
    ]  # fmt: skip
    return subprocess.run(command, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Other options go to locust: see locustfile.py."
    )
    parser.add_argument("--host", default="", help="a running server; started here when not given")
    options, more = parser.parse_known_args()
    machine.pin_to_client()
    results.RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, some_server(options.host) as host:
        steps = Path(folder) / "steps.json"
        status = run_locust(host, steps, more)
        if not steps.is_file():
            raise SystemExit(f"locust ended with status {status} before the search was finished")
        question = "What is the highest rate this server sustains within a latency limit?"
        specs = [] if options.host else [catalogue.ours()]
        file = results.write("load", question, specs, json.loads(steps.read_text("utf-8")))
    print(f"Written: {file} and {file.with_suffix('.html')}")


if __name__ == "__main__":
    main()
