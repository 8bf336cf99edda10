"""A container's life: first process, signals, orphans, starting and stopping, engine's words."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scorehost.images.engine_problems import explain
from support.client import Address, Connection, ConnectionEnded
from support.containers import NAMES, BuildImage, Container, StartContainer, docker
from support.wait import wait_until

SLEEPS = """\
import json, os, subprocess, time
def init(): pass
def run(data):
    value = json.loads(data)
    if value == "orphan":
        # Its parent ends at once; who takes it over is the first process.
        subprocess.run("(sleep 0.3; exit 3) & (sleep 0.3; exit 4) &", shell=True, check=True)
    elif value:
        time.sleep(value)
    return value
"""


@pytest.fixture(scope="module")
def sleeps(build_image: BuildImage) -> str:
    """A script that sleeps, or leaves orphans behind."""
    return build_image({"score.py": SLEEPS}, name="sleeps")


def test_the_first_process_is_ours(running: Container):
    """``scorehost serve`` is process 1, no shell before it, and nobody is root."""
    assert "scorehost serve" in running.exec("sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline").out
    assert len({uid for uid, _, _ in running.top()} - {"10001"}) == 0


def test_orphans(sleeps: str, start: StartContainer):
    """The first process takes over who has lost its parent, and is not ended by how they end."""
    container = start(sleeps)
    container.score("orphan")

    def left() -> list[str]:
        lines = container.exec("sh", "-c", "cat /proc/[0-9]*/stat", check=False).out.splitlines()
        return [line for line in lines if "(sleep)" in line or ") Z " in line]

    wait_until(lambda: not left(), what="they ended, and were noticed")
    assert container.score(0) == 0
    assert container.stop() == 0


@contextmanager
def load(container: Container, clients: int) -> Iterator[list[str]]:
    """Clients that ask one thing after the other until the server ends; what went wrong."""
    # Not through the published port: the engine's proxy accepts what nobody inside has.
    address = Address(host=container.address, port=5001)
    lost: list[str] = []
    answered: list[int] = []

    def ask_on(connection: Connection) -> None:
        closing = False
        while not closing:
            connection.send_request("POST", "/score", body=b"0.005")
            response = connection.read_response()
            answered.append(response.status)
            closing = "close" in response.listed("Connection")
            if response.status != 200:
                lost.append(f"{response.status} {response.body[:200]!r}")

    def ask() -> None:
        while True:
            try:
                connection = Connection(address)
            except OSError:
                return  # nobody listens any more
            with connection:
                try:
                    ask_on(connection)
                except (ConnectionEnded, OSError) as error:
                    lost.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > 20, what="some answers")
    yield lost
    for thread in threads:
        thread.join(30)
    assert not [thread for thread in threads if thread.is_alive()]


@pytest.mark.clock
def test_stop_under_load(sleeps: str, start: StartContainer):
    """``docker stop``: everything accepted is answered, status 0, well before the kill."""
    container = start(sleeps)

    with load(container, clients=4) as lost:
        began = time.monotonic()
        status = container.stop()
        took = time.monotonic() - began

    assert status == 0
    assert lost == []
    assert took < 8  # the engine kills after 10; how long it takes on a quiet machine is measured


def test_a_second_container_of_the_same_name(echo: str, start: StartContainer):
    """What the engine says then is understood."""
    name = f"{NAMES}-twin"
    start(echo, f"--name={name}", ready=False)

    refused = docker("run", "--detach", f"--name={name}", echo, check=False)

    assert f"'docker rm -f {name}'" in explain(refused.err, "docker")


def test_a_port_that_is_taken(echo: str, start: StartContainer):
    """Likewise."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = docker(
            "run", "--rm", f"--publish=127.0.0.1:{port}:5001", echo, check=False, timeout=60
        )

    assert refused.status != 0
    assert f"The port {port} is already in use" in explain(refused.err, "docker")


def test_an_image_that_is_not_here():
    """Likewise; the registry is on this machine, and there is none."""
    refused = docker("run", "--rm", "localhost:9/nobody/nothing:1", check=False)

    assert re.search(r"cannot reach the registry|check the tag", explain(refused.err, "docker"))


def test_settings_from_outside(echo: str, start: StartContainer):
    """Variables and flags reach the server as they do anywhere."""
    container = start(
        echo,
        "--env=SCOREHOST_LOG_FORMAT=json",
        command=["scorehost", "serve", "--workers", "2"],
    )

    records = [json.loads(line) for line in container.log.splitlines()]
    assert any("2 scoring workers" in record["message"] for record in records)


def test_the_drop_in_command(echo: str, start: StartContainer):
    """``azmlinfsrv`` in the image, as images of the other server start it."""
    container = start(
        echo, command=["azmlinfsrv", "--entry_script", "score.py", "--model_dir", "."]
    )

    assert container.post([1]).header("x-ms-server-version").startswith("azmlinfsrv/")
    assert "Server Settings" in container.log


def test_logs_come_at_once(running: Container):
    """What the script prints is in ``docker logs`` when its answer has come."""
    with subprocess.Popen(
        ["docker", "logs", "--follow", running.id], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as following:
        running.score("hello")
        assert following.stdout is not None
        seen = iter(following.stdout.readline, b"")
        assert any(b"POST /score 200" in line for line in seen)
        following.kill()
