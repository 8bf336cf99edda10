"""What the engine bounds, memory and processors, and what the server makes of it."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.containers import BuildImage, Container, StartContainer, inspect
from support.wait import wait_until

EATS = """\
import json, os, time
kept = []
def init(): pass
def run(data):
    megabytes, until = json.loads(data)
    for _ in range(megabytes):
        kept.append(bytearray(b"x" * (1 << 20)))
    while until and not os.path.exists(until):
        time.sleep(0.01)
    return len(kept)
"""
LITTLE_MEMORY = (
    "--memory=256m",
    "--memory-swap=256m",
    "--env=SCOREHOST_TERMINATION_LOG=/tmp/termination-log",
)


@pytest.fixture(scope="module")
def eats(build_image: BuildImage) -> str:
    """A script that keeps as many megabytes as it is asked to, and may stay in ``run()``."""
    return build_image({"score.py": EATS}, name="eats")


def termination_message(container: Container) -> str:
    """The termination message as it is now."""
    return container.exec("cat", "/tmp/termination-log", check=False).out


def written_inside(container: Container) -> str:
    """The termination message, if it names the request that is inside now."""
    message = termination_message(container)
    return message if "the-large-one" in message else ""


def test_out_of_memory(eats: str, start: StartContainer):
    """The client is told at once; log and termination message say why and who; it goes on."""
    container = start(eats, *LITTLE_MEMORY)
    assert container.score([1, ""]) == 1

    failed = container.request(
        "POST", "/score", headers=[("x-request-id", "the-hungry-one")], body=b"[1000, null]"
    )

    assert failed.status == 500
    line = container.wait_for_line("Out of memory")
    assert "the container's memory of 256.0 MiB was used up" in line
    assert "the-hungry-one" in line
    message = termination_message(container)
    assert "Out of memory" in message
    assert "256.0 MiB" in message
    assert "the-hungry-one" in message
    container.wait_ready()
    assert container.score([1, ""]) == 1
    assert container.stop() == 0


def test_last_words_beforehand(eats: str, start: StartContainer):
    """Were the container killed as a whole, its message would be there already."""
    container = start(eats, *LITTLE_MEMORY)
    headers = [("x-request-id", "the-large-one")]
    call = threading.Thread(
        target=container.request,
        args=("POST", "/score"),
        kwargs={"headers": headers, "body": b'[180, "/tmp/go"]'},
    )
    call.start()

    # It goes again when memory is taken more slowly for a moment, and comes back: one reading.
    message = wait_until(lambda: written_inside(container), what="a message beforehand")

    assert "out of memory" in message
    assert re.search(r"\d+\.\d MiB of the container's 256\.0 MiB of memory is in use", message)
    container.exec("touch", "/tmp/go")
    call.join()
    assert container.stop() == 0


def test_processors(echo: str, start: StartContainer):
    """1.5 of them are one worker, and the log says why."""
    container = start(echo, "--cpus=1.5", "--env=WORKER_COUNT=auto")

    line = container.wait_for_line("WORKER_COUNT=auto")
    assert "1 scoring worker" in line
    assert "the control group allows 1.5" in line
    assert len([args for _, _, args in container.top() if "worker/start.py" in args]) == 1


def test_little_of_both(echo: str, start: StartContainer):
    """Half a processor and little memory: slow, and nothing is lost."""
    container = start(echo, "--cpus=0.5", "--memory=100m")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(container.score, range(100)))

    assert answers == [str(number) for number in range(100)]
    assert container.stop() == 0


def test_the_engine_sees_whether_it_is_well(build_image: BuildImage, start: StartContainer):
    """Healthy when a worker can score; not while ``init()`` runs on and on."""
    slow = (
        "import os, time\ndef init():\n    while not os.path.exists('/tmp/go'): time.sleep(0.01)\n"
    )
    image = build_image(
        {"score.py": slow + "def run(data): return data\n"}, "--no-check", name="slow"
    )
    often = ("--health-interval=1s", "--health-start-period=1ms", "--health-retries=1")
    container = start(image, *often, ready=False)

    def health() -> str:
        status: str = inspect("container", container.id)["State"]["Health"]["Status"]
        return status

    def told() -> str:
        log = inspect("container", container.id)["State"]["Health"]["Log"]
        return str(log[-1]["Output"]) if log else ""

    wait_until(lambda: health() == "unhealthy", timeout=60, what="unhealthy")
    wait_until(lambda: "init()" in told(), timeout=60, what="why: init() runs")
    container.exec("touch", "/tmp/go")
    wait_until(lambda: health() == "healthy", timeout=60, what="healthy")


def test_nothing_else_listens(running: Container):
    """Only the scoring port; the debugger's is declared, and closed until asked for."""
    tables = running.exec("cat", "/proc/net/tcp", "/proc/net/tcp6").out.splitlines()
    fields = [line.split() for line in tables]
    listening = {int(each[1].rpartition(":")[2], 16) for each in fields if each[3] == "0A"}
    assert listening == {5001}
