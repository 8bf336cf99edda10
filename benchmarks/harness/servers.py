"""Start a server described by a small spec, on one core, and end it with all its children.

A server is ready when it has answered the benchmark's own request correctly: a server that
answers errors quickly would win every comparison.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import processes

LOOPBACK = "127.0.0.1"
SERVER_CORE, CLIENT_CORE = "0", "1"


@dataclass(frozen=True)
class ServerSpec:
    """One way to serve the workload.

    Parameters
    ----------
    name : short name, used in results and on the command line.
    title : the name as a table shows it.
    command : the command; ``{port}`` is replaced.
    folder : working directory.
    environ : variables added to the environment.
    python : the interpreter whose packages are recorded.
    packages : distributions whose versions are recorded.
    """

    name: str
    title: str
    command: tuple[str, ...]
    folder: Path
    python: Path
    packages: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    """What is sent, and what must come back.

    Parameters
    ----------
    body : the request's body.
    answer : the JSON value a right answer holds.
    """

    body: bytes
    answer: object
    route: str = "/score"

    def request(self, port: int, *, close: bool = False) -> bytes:
        """The request as it goes over the wire."""
        head = (
            f"POST {self.route} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
            f"{'Connection: close' if close else 'Accept: */*'}\r\n\r\n"
        )
        return head.encode() + self.body


class ServerDidNotStart(Exception):
    """The server ended, or gave no right answer in time; the message ends with its log."""


@dataclass(frozen=True)
class RunningServer:
    """A server that has given its first answer."""

    spec: ServerSpec
    pid: int
    port: int
    seconds_to_first_answer: float
    log: Path

    def tree(self) -> list[processes.Usage]:
        """The usage of every process of this server."""
        return processes.tree(self.pid)


@contextlib.contextmanager
def running(
    spec: ServerSpec,
    workload: Workload,
    log: Path,
    *,
    limit: float = 60,
    grace: float = 10,
    cores: str = SERVER_CORE,
) -> Iterator[RunningServer]:
    """Start a server on a free port, wait for its first right answer, and end it afterwards.

    It runs on ``cores``; ``limit`` bounds its start in seconds, ``grace`` its end.
    """
    port = free_port()
    command = [
        "taskset",
        "-c",
        cores,
        *(part.replace("{port}", str(port)) for part in spec.command),
    ]
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=spec.folder,
            env={**plain_environment(), **spec.environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for_answer(process, port, workload, log, started + limit)
        yield RunningServer(spec, process.pid, port, time.monotonic() - started, log)
    finally:
        stop(process, grace)


def plain_environment() -> dict[str, str]:
    """This environment without what would change how Python runs, PYTHONDONTWRITEBYTECODE say."""
    kept = {"PYTHONPATH"}
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith("PYTHON")
    }


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_for_answer(
    process: subprocess.Popen[bytes], port: int, workload: Workload, log: Path, until: float
) -> None:
    """Ask again every five milliseconds until the answer is right."""
    last = "no answer"
    while time.monotonic() < until:
        if process.poll() is not None:
            last = f"it ended with status {process.returncode}"
            break
        status, body = ask(port, workload)
        if status == 200:
            if json.loads(body) == workload.answer:
                return
            last = f"a wrong answer: {body[:200]!r}"
        elif status:
            last = f"status {status}: {body[:200]!r}"
        time.sleep(0.005)
    tail = log.read_text("utf-8", "replace")[-3000:]
    raise ServerDidNotStart(f"{' '.join(map(str, process.args))}: {last}. Its log ends:\n{tail}")  # type: ignore[arg-type]


def ask(port: int, workload: Workload) -> tuple[int, bytes]:
    """One request on a connection of its own; status 0 when nobody answered."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=30) as connection:
            connection.sendall(workload.request(port, close=True))
            return split_answer(read_to_end(connection))
    except OSError:
        return 0, b""


def read_to_end(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    chunks = []
    while chunk := connection.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def split_answer(raw: bytes) -> tuple[int, bytes]:
    """Status and body of a whole HTTP answer; a chunked body is put together."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1."):
        return 0, b""
    if b"transfer-encoding: chunked" in head.lower():
        body = b"".join(body.split(b"\r\n")[1::2])
    return int(head.split(b" ", 2)[1]), body


def stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """SIGTERM, and SIGKILL for whatever of its tree is left after the grace time."""
    known = processes.tree(process.pid)
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    for usage in known:
        now = processes.read_usage(usage.pid)
        if now is not None and now.command == usage.command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(usage.pid, signal.SIGKILL)
    process.wait()
