"""What does a container add: to the first answer, to stopping, to a changed script, to the base?

Needs a container engine and the base images (``make images``). Each sample is a container of its
own:

- start: from ``docker run`` to the first right answer through the published port, beside how long
  ``docker run IMAGE true`` takes from beginning to end, in turns. The script's ``init()`` does
  nothing, so the difference is the interpreter, the server, and importing numpy.
- stop: ``docker stop`` while four clients ask without pause, ``run()`` being short. They ask the
  container's own address, as the engine's proxy accepts what nobody inside has. A request is lost
  when it was sent whole on an accepted connection and got no complete answer.
- rebuild: ``scorehost build`` after a change to score.py, without the last step that checks the
  script, which takes as long as the script does; and once more without any change.
- size: what the image adds to the one it begins with.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import machine, results, table
from harness.figures import Spread, spread
from scorehost.images.family import read_family

TAG = "scorehost-benchmark/app:1"
WORKLOADS = Path(__file__).parent / "workloads"
BODY = (WORKLOADS / "request.json").read_bytes()
EVERY = 0.005
"""Seconds between two attempts to get the first answer."""
CLIENTS = 4
BEFORE_STOP = 1.0
"""Seconds of load before the container is told to stop."""


def docker(*arguments: str) -> str:
    """Run a command of the engine's; what it prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def timed(call: Callable[[], object]) -> float:
    """How many seconds a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# -- start ----------------------------------------------------------------------------------


@contextmanager
def container() -> Iterator[tuple[str, int]]:
    """A container that has just been started, and the port it is published on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    id_ = docker("run", "--detach", f"--publish=127.0.0.1:{port}:5001", TAG)
    try:
        yield id_, port
    finally:
        docker("rm", "--force", id_)


def answer(port: int) -> bool:
    """Ask once; whether the answer is a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/score", BODY)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False  # the engine's proxy listens before anybody inside does
    finally:
        connection.close()


def until_answered(port: int) -> None:
    """Ask until the answer is right."""
    while not answer(port):
        time.sleep(EVERY)


def start_once() -> float:
    """Seconds from the command to the first answer."""
    began = time.perf_counter()
    with container() as (_, port):
        until_answered(port)
        return time.perf_counter() - began


def true_once() -> float:
    """Seconds for a container that does nothing; it is removed after that."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/id"
        seconds = timed(lambda: docker("run", f"--cidfile={file}", TAG, "true"))
        docker("rm", Path(file).read_text())
    return seconds


# -- stop -----------------------------------------------------------------------------------


@dataclass
class Load:
    """What clients have seen."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)

    def ask(self, host: str) -> None:
        """Ask on kept connections until nobody listens any more."""
        while True:
            connection = http.client.HTTPConnection(host, 5001, timeout=10)
            try:
                connection.connect()
            except OSError:
                return
            self._ask_on(connection)

    def _ask_on(self, connection: http.client.HTTPConnection) -> None:
        """Ask until this connection ends, as the answers say."""
        closing = False
        try:
            while not closing:
                connection.request("POST", "/score", BODY)
                response = connection.getresponse()
                response.read()
                closing = response.getheader("Connection") == "close"
                if response.status == 200:
                    self.answered += 1
                else:
                    self.lost.append(str(response.status))
        except (OSError, http.client.HTTPException) as error:
            self.lost.append(repr(error))
        finally:
            connection.close()


def stop_once() -> tuple[float, int, Load]:
    """Seconds that ``docker stop`` takes under load, the exit status, and what clients saw."""
    load = Load()
    with container() as (id_, port):
        until_answered(port)
        host = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", id_)
        clients = [threading.Thread(target=load.ask, args=(host,)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(BEFORE_STOP)
        seconds = timed(lambda: docker("stop", id_))
        for client in clients:
            client.join()
        return seconds, int(docker("inspect", "--format", "{{.State.ExitCode}}", id_)), load


# -- rebuild --------------------------------------------------------------------------------


def build(folder: Path) -> None:
    """Build the app, without the check."""
    command = [sys.executable, "-m", "scorehost", "build", str(folder), "-t", TAG, "--no-check"]
    subprocess.run(command, check=True, capture_output=True)


def layers() -> list[str]:
    """The image's layers."""
    found: list[str] = json.loads(docker("image", "inspect", TAG))[0]["RootFS"]["Layers"]
    return found


def rebuild_once(folder: Path, number: int) -> tuple[float, float, int]:
    """Seconds after a change, seconds without one, and how many layers the latter made anew."""
    script = folder / "score.py"
    script.write_text(script.read_text() + f"\n# change {number}\n")
    changed = timed(lambda: build(folder))
    before = layers()
    unchanged = timed(lambda: build(folder))
    return changed, unchanged, len(set(layers()) - set(before))


# -- all of it ------------------------------------------------------------------------------


def sizes() -> dict[str, float]:
    """Megabytes of the base image, of what it begins with, and of the difference."""
    family = read_family()
    image = family.images["inference-cpu"]
    own = int(docker("image", "inspect", "--format", "{{.Size}}", image.reference))
    label = '{{index .Config.Labels "org.opencontainers.image.base.name"}}'
    begins = docker("image", "inspect", "--format", label, family.images["foundation"].reference)
    base = int(docker("image", "inspect", "--format", "{{.Size}}", begins))
    return {"image_mb": own / 1e6, "base_mb": base / 1e6, "added_mb": (own - base) / 1e6}


def measure(rounds: int) -> dict[str, list[float]]:
    """All samples, by name."""
    samples: dict[str, list[float]] = {}

    def add(**values: float) -> None:
        for name, value in values.items():
            samples.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "app"
        folder.mkdir()
        shutil.copy(WORKLOADS / "score.py", folder)
        (folder / "requirements.txt").write_text("numpy\n")
        build(folder)
        start_once()  # the first of all reads the image from the disk
        for number in range(rounds):
            machine.wait_until_quiet()
            nothing, first = true_once(), start_once()
            add(true_s=nothing, first_answer_s=first, above_true_s=first - nothing)
            seconds, status, load = stop_once()
            add(stop_s=seconds, stop_status=status, lost=len(load.lost), answered=load.answered)
            changed, unchanged, new = rebuild_once(folder, number)
            add(rebuild_s=changed, unchanged_s=unchanged, unchanged_new_layers=new)
            print(f"round {number + 1} of {rounds}: {first - nothing:.2f} s above true")
    docker("rmi", "--force", TAG)
    return samples


ROWS = (
    ("`docker run … true`, s", "true_s", 2),
    ("`docker run` to the first answer, s", "first_answer_s", 2),
    ("… above `true`, s", "above_true_s", 2),
    ("`docker stop` under load, s", "stop_s", 2),
    ("… exit status", "stop_status", 0),
    ("… requests answered", "answered", 0),
    ("… requests lost", "lost", 0),
    ("rebuild, score.py changed, s", "rebuild_s", 2),
    ("rebuild, nothing changed, s", "unchanged_s", 2),
    ("… new layers", "unchanged_new_layers", 0),
)


def as_table(found: dict[str, Spread], size: dict[str, float]) -> str:
    """Everything, a line each."""
    rows = [[title, found[name].text(digits)] for title, name, digits in ROWS]
    added = f"{size['added_mb']:.0f} ({size['image_mb']:.0f} − {size['base_mb']:.0f})"
    rows.append(["added to the base image, MB", added])
    return table.markdown(["", "median (lowest–highest)"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    samples = measure(parser.parse_args().rounds)
    found = {name: spread(values) for name, values in samples.items()}
    size = sizes()
    shown = as_table(found, size)
    print(shown)
    document = {
        "engine": docker("version", "--format", "{{.Server.Version}}"),
        "size": size,
        "samples": samples,
    }
    file = results.write("containers", __doc__ or "", [], document)
    file.with_suffix(".md").write_text(shown, "utf-8")
    print(f"Written: {file}, and the table beside it")


if __name__ == "__main__":
    main()
