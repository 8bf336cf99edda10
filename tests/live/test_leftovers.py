"""Processes that a script has started end with the worker that started them, whatever ends that."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from scorehost.front.workers.leftovers import (
    MARK,
    STEP,
    Process,
    ending,
    look_at,
    marked_orphans,
)
from support.commands import run
from support.processes import alive, tree
from support.server import LiveServer, StartServer, fill
from support.wait import wait_until

SCRIPT = """
import json, multiprocessing, os, signal, subprocess, sys, time
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent

def note(pid):
    with open(HERE / "started", "a") as file:
        file.write(f"{pid} ")

def forever():
    note(os.getpid())
    while True:
        time.sleep(1)

def popen(**options):
    note(subprocess.Popen(["sleep", "600"], **options).pid)

def forked(setsid=False):
    if os.fork() == 0:
        if setsid:
            os.setsid()
        forever()

def daemon(execute=False, environment=None):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note(os.getpid())
            if execute:
                os.execve("/bin/sleep", ["sleep", "600"], environment)
            while True:
                time.sleep(1)
        os._exit(0)
    os.wait()

def deaf():
    note(subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 600; done"]).pid)

WAYS = {
    "popen": popen,
    "session": lambda: popen(start_new_session=True),
    "no environment": lambda: popen(start_new_session=True, env={}),
    "multiprocessing": lambda: multiprocessing.get_context("fork").Process(target=forever).start(),
    "fork": forked,
    "fork with setsid": lambda: forked(True),
    "daemon": daemon,
    "daemon without environment": lambda: daemon(True, {}),
    "shell": lambda: os.system(f"sleep 600 & echo -n \\"$! \\" >> {HERE}/started"),
    "tree": lambda: note(subprocess.Popen(["sh", "-c", "sleep 600; true"]).pid),
    "deaf": deaf,
}

def init():
    way = os.environ.get("AT_INIT")
    if way:
        WAYS[way]()

def run(data):
    way = json.loads(data)
    if way == "crash":
        os._exit(1)
    if way == "hang":
        sum(iter(int, 1))
    if way == "pid":
        return os.getpid()
    WAYS[way]()
    return os.getpid()
"""
WAYS = [
    "popen", "session", "no environment", "multiprocessing", "fork", "fork with setsid", "daemon",
    "daemon without environment", "shell", "tree",
]  # fmt: skip
PRELOAD = {"WORKER_PRELOAD": "true"}


def serve(own_server: StartServer, settings: Mapping[str, str] = {}) -> LiveServer:
    return own_server(files={"main.py": SCRIPT}, settings={"WORKER_COUNT": "1"} | dict(settings))


def started(server: LiveServer, count: int = 1) -> list[int]:
    """What the script says that it has started."""
    file = server.folder / "started"
    wait_until(lambda: file.exists() and len(file.read_text().split()) >= count, what="started")
    return [int(word) for word in file.read_text().split()]


def front_of(server: LiveServer, but: int = 0) -> int:
    children = [each.pid for each in tree(server.pid) if each.parent == server.pid]
    return next(pid for pid in children if pid != but)


def gone(pids: list[int]) -> None:
    wait_until(lambda: not any(alive(pid) for pid in pids), what=f"{pids} have ended")


@pytest.mark.parametrize("settings", [{}, PRELOAD], ids=["plain", "preload"])
def test_they_end_when_the_worker_crashes(
    own_server: StartServer, settings: dict[str, str]
) -> None:
    server = serve(own_server, settings)
    for way in WAYS:
        server.score(way)
    pids = started(server, len(WAYS))
    assert all(alive(pid) for pid in pids)

    assert server.post(json="crash").status == 500

    gone(pids)
    server.wait_for_line("left by a scoring process that has ended", f"(pid {pids[0]})")
    server.wait_ready()


@pytest.mark.parametrize("way", WAYS)
def test_they_end_with_the_server(own_server: StartServer, way: str) -> None:
    server = serve(own_server)
    server.score(way)
    pids = started(server)

    server.send_signal(signal.SIGTERM)

    assert server.wait_exit(20) == 0
    gone(pids)


@pytest.mark.parametrize("way", ["popen", "session", "daemon", "fork with setsid"])
def test_they_end_when_the_front_is_killed(own_server: StartServer, way: str) -> None:
    """Then the arbiter ends them, and starts another front."""
    server = serve(own_server)
    server.score(way)
    pids = started(server)

    os.kill(front_of(server), signal.SIGKILL)

    gone(pids)
    server.wait_for_line("left by a scoring process that has ended", f"(pid {pids[0]})")
    server.wait_ready()


def test_they_are_found_while_their_worker_is_ending() -> None:
    """Then the worker has no environment any more, and still has its children."""
    started = f"{MARK}=77-0 sleep 600 & wait"
    with (
        subprocess.Popen(["/bin/sh", "-c", started], env={}, start_new_session=True) as worker,
        subprocess.Popen(["sleep", "600"], env={MARK: "7-0"}) as other,
    ):
        try:
            wait_until(lambda: marked_orphans(77), what="what it has started is found")

            assert [each.name for each in marked_orphans(77)] == ["sleep"]
            wait_until(lambda: [each.pid for each in marked_orphans(7)] == [other.pid])
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            other.kill()


def test_one_look_that_finds_nothing_is_not_the_end() -> None:
    """A process is missed in the moment in which it starts another program."""
    said: list[str] = []
    with subprocess.Popen(["sleep", "600"]) as process:
        looks = iter([False])

        def find() -> list[Process]:
            found = look_at(process.pid)
            can_see = next(looks, True)
            return [found] if can_see and found is not None and found.state != "Z" else []

        try:
            for _ in ending(find, said.append, time.monotonic):
                time.sleep(STEP)
        finally:
            process.kill()

        assert process.wait() == -signal.SIGTERM
    assert len(said) == 1


def test_what_a_living_helper_starts_stays(own_server: StartServer) -> None:
    """A daemon of the loader's starts others when it likes; they are no worker's."""
    script = """
import os, subprocess, time
from pathlib import Path
HERE = Path(__file__).parent
def init():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while not (HERE / "go").exists():
                time.sleep(0.01)
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            (HERE / "started").write_text(f"{os.getpid()} {child.pid}")
            child.wait()
        os._exit(0)
    os.wait()
def run(data):
    subprocess.Popen(["sleep", "600"])
    return os.getpid()
"""
    server = own_server(files={"main.py": script}, settings=PRELOAD | {"WORKER_COUNT": "1"})
    server.make("go")
    pids = started(server, 2)

    for deaths in (1, 2):
        os.kill(server.score(""), signal.SIGKILL)
        wait_until(
            lambda deaths=deaths: len(server.lines("left by a scoring process")) == deaths,
            what="what the worker itself has started is ended",
        )
        server.wait_ready()
        assert all(alive(pid) for pid in pids)

    server.check_stopped()
    gone(pids)


def test_they_end_when_a_deadline_kills_the_worker(own_server: StartServer) -> None:
    limits = {"SCORING_TIMEOUT_MS": "300", "SCOREHOST_INTERRUPT_GRACE": "0.2"}
    server = serve(own_server, limits)
    server.score("session")

    assert server.post(json="hang").status == 504

    gone(started(server))


@pytest.mark.parametrize("way", ["popen", "daemon"])
def test_what_init_has_started_ends_at_a_reload(own_server: StartServer, way: str) -> None:
    """The new worker's own stay."""
    server = serve(own_server, {"AT_INIT": way})
    old = started(server)

    server.send_signal(signal.SIGHUP)
    server.wait_for_line("reloaded: ")

    new = [pid for pid in started(server, 2) if pid not in old]
    gone(old)
    assert all(alive(pid) for pid in new)


def test_those_of_another_worker_stay(own_server: StartServer) -> None:
    """Each is told from those of the worker that ends, by its session or its environment."""
    server = serve(own_server, {"WORKER_COUNT": "2"})
    wait_until(lambda: server.get("/readyz").json()["workers"]["ready"] == 2, what="both serve")
    ways = ["popen", "session", "fork", "daemon", "fork with setsid"]
    owners = [server.score(way) for way in ways]
    pids = started(server, len(ways))
    dying = owners[0]

    os.kill(dying, signal.SIGKILL)

    its = [pid for pid, owner in zip(pids, owners, strict=True) if owner == dying]
    gone(its)
    others = [pid for pid, owner in zip(pids, owners, strict=True) if owner != dying]
    assert all(alive(pid) for pid in others)
    server.check_stopped()
    gone(others)


def test_what_ignores_a_termination_is_killed(own_server: StartServer) -> None:
    server = serve(own_server)
    server.score("deaf")
    pids = started(server)

    server.post(json="crash")

    gone(pids)
    server.wait_for_line("killing 2 processes: sh", f"(pid {pids[0]})", "within 2 s of SIGTERM")


def test_what_the_worker_waits_for_is_left_to_it(own_server: StartServer, tmp_path: Path) -> None:
    """A worker that is told to stop waits for its helper, which is not hurried."""
    script = f"""
import atexit, os, subprocess
def init():
    helper = subprocess.Popen(["sh", "-c", "trap 'echo hurried > {tmp_path}/how; exit' TERM; "
                               "read line; echo finished > {tmp_path}/how"],
                              stdin=subprocess.PIPE)
    atexit.register(helper.communicate, b"go\\n")
def run(data):
    return 1
"""
    server = own_server(files={"main.py": script})

    server.check_stopped()

    assert (tmp_path / "how").read_text() == "finished\n"
    assert not server.lines("left by a scoring process")


def test_an_orphan_that_ends_by_itself_leaves_no_zombie(own_server: StartServer) -> None:
    """While its worker lives the front reaps it."""
    server = serve(own_server)
    server.score("daemon")
    (pid,) = started(server)

    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="it is reaped")
    assert server.score("pid")


def test_what_was_there_before_the_server_stays(own_server: StartServer) -> None:
    """A shell that starts a helper and then becomes the server, as images do it."""
    shell = 'sleep 600 & echo $! > helper; exec "$@"'
    server = own_server(files={"main.py": SCRIPT}, shell=shell)
    helper = int((server.folder / "helper").read_text())
    server.score("daemon")
    pids = started(server)

    os.kill(front_of(server, but=helper), signal.SIGKILL)
    gone(pids)
    server.wait_ready()
    server.send_signal(signal.SIGTERM)
    assert server.wait_exit(20) == 0

    assert alive(helper)
    os.kill(helper, signal.SIGKILL)


@pytest.mark.parametrize("way", ["popen", "daemon without environment"])
def test_a_check_leaves_nothing(tmp_path: Path, way: str) -> None:
    fill(tmp_path, {"main.py": SCRIPT})

    ended = run(tmp_path, "check", "main.py", AT_INIT=way)

    assert ended.status == 0
    gone([int(word) for word in (tmp_path / "started").read_text().split()])


GARBLES = """
import os, socket, time
def init():
    pass
def run(data):
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            with socket.socket(fileno=os.dup(number)) as found:
                if found.family == socket.AF_UNIX and found.type == socket.SOCK_STREAM:
                    os.write(number, b"printed by a library")
        except OSError:
            pass
    time.sleep(600)
"""


def test_a_check_of_a_script_that_writes_to_our_socket(tmp_path: Path) -> None:
    """It says so, and does not wait for the deadline."""
    fill(tmp_path, {"main.py": GARBLES, "sample.json": "{}"})

    ended = run(tmp_path, "check", "main.py", "--json", "--sample", "sample.json")

    assert ended.status == 3
    assert "wrote to the socket on which it answers" in ended.json()["report"]["message"]
