"""What the engine bounds, memory and processors, and what the server makes of it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.containers import BuildImage, Container, StartContainer, inspect

EATS = """\
import json
kept = []
def init(): pass
def run(data):
    for _ in range(json.loads(data)):
        kept.append(bytearray(b"x" * (1 << 20)))
    return len(kept)
"""


@pytest.fixture(scope="module")
def eats(build_image: BuildImage) -> str:
    """A script that takes as many megabytes as it is asked to, and keeps them."""
    return build_image({"score.py": EATS}, name="eats")


def test_out_of_memory(eats: str, start: StartContainer):
    """The request's client is told at once, the log says why and which; the server goes on."""
    container = start(
        eats,
        "--memory=256m",
        "--memory-swap=256m",
        "--env=SCOREHOST_TERMINATION_LOG=/tmp/termination-log",
    )
    assert container.score(1) == 1

    failed = container.request(
        "POST", "/score", headers=[("x-request-id", "the-hungry-one")], body=b"1000", timeout=60
    )

    assert failed.status == 500
    report = container.wait_for_line("out of memory")
    log = container.log
    assert "256" in report or re.search(r"256(\.0)? ?Mi?B", log)
    assert "the-hungry-one" in log
    message = container.exec("cat", "/tmp/termination-log").out
    assert "out of memory" in message.lower()
    assert re.search(r"256(\.0)? ?Mi?B", message)
    assert "the-hungry-one" in message
    container.wait_ready()
    assert container.score(1) == 1
    assert container.state["Running"]
    assert container.stop() == 0


def test_processors(echo: str, start: StartContainer):
    """1.5 of them is one worker, and the log says why."""
    container = start(echo, "--cpus=1.5", "--env=WORKER_COUNT=auto")

    line = container.wait_for_line("WORKER_COUNT=auto")
    assert "1 scoring worker" in line
    assert "the control group allows 1.5" in line
    assert len([args for _, _, args in container.top() if "worker.process" in args]) == 1


def test_two_processors(echo: str, start: StartContainer):
    """Two are two workers, where the machine has them."""
    container = start(echo, "--cpus=2", "--env=WORKER_COUNT=auto")

    assert "2 scoring workers" in container.wait_for_line("WORKER_COUNT=auto")


def test_memory_lowers_the_count(echo: str, start: StartContainer):
    """Workers are started until the next would not fit; the server scores with those."""
    container = start(echo, "--memory=100m", "--env=WORKER_COUNT=auto", "--cpus=2")

    assert container.score(1) == "1"
    assert container.state["Running"]


def test_the_health_check_sees_it(echo: str, eats: str, start: StartContainer):
    """Docker's own state follows: healthy once a worker can score."""
    container = start(
        echo, "--health-interval=1s", "--health-start-period=1s", "--health-retries=1"
    )

    def health() -> str:
        state: str = inspect("container", container.id)["State"]["Health"]["Status"]
        return state

    from support.wait import wait_until

    wait_until(lambda: health() == "healthy", timeout=30, what="healthy")
    container.exec("sh", "-c", "kill -STOP $(pgrep -f worker.process | head -1) || true")


def test_many_at_once_with_little(echo: str, start: StartContainer):
    """Half a processor and a small memory: slow, and nothing is lost."""
    container = start(echo, "--cpus=0.5", "--memory=128m")

    def ask(number: int) -> str:
        answer: str = container.score(number)
        return answer

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(200)))

    assert answers == [str(number) for number in range(200)]


def test_a_container_is_told_by_nobody(running: Container):
    """Nothing listens but the two ports that are meant to, and 5678 only when asked."""
    ports = running.exec("cat", "/proc/net/tcp", "/proc/net/tcp6").out
    listening = {
        int(line.split()[1].split(":")[1], 16) for line in ports.splitlines() if " 0A " in line
    }
    assert listening == {5001}
