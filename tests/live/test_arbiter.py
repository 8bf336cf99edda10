"""Around the front: the arbiter's own end, life as process 1, and what gunicorn must not decide."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.steady import SteadyLoad
from support.client import Address, ConnectionEnded
from support.processes import Process, alive, in_session, tree
from support.server import SERVE, LiveServer, StartServer, free_port, script_file
from support.wait import wait_until

EVALUATES = script_file("evaluates.py").read_text()


def front_of(server: LiveServer) -> Process:
    """The only child of the first process."""
    [front] = [each for each in tree(server.pid) if each.parent == server.pid]
    return front


def scores(server: LiveServer) -> bool:
    try:
        return server.post(json="1", timeout=2.0).status == 200
    except (ConnectionError, ConnectionEnded, TimeoutError):
        return False


# -- ends ---------------------------------------------------------------------------------


def test_a_server_whose_arbiter_is_killed_answers_and_ends(own_server: StartServer) -> None:
    """Nobody would ever stop it; so it stops itself, as gently as ever."""
    server = own_server("gated.py")
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"inside"')
        server.wait_for_file("inside.begun")

        server.process.kill()
        server.wait_for_line("stopping")
        server.make("inside.go")

        assert connection.read_response().status == 200
    server.process.wait()
    wait_until(lambda: not in_session(server.pid), what="everything has ended")


@pytest.mark.parametrize("preload", ["false", "true"])
def test_a_killed_front_takes_its_workers_along(own_server: StartServer, preload: str) -> None:
    """Also those that a loader has forked; and the next front starts its own."""
    settings = {"WORKER_COUNT": "2", "WORKER_PRELOAD": preload}
    server = own_server("evaluates.py", settings=settings)
    below = [each.pid for each in tree(server.pid) if each.pid != server.pid]

    os.kill(front_of(server).pid, signal.SIGKILL)

    wait_until(lambda: not any(alive(pid) for pid in below), what="none of them is left")
    wait_until(lambda: scores(server), what="it scores again")
    assert "restarting the HTTP process" in server.log


def test_a_front_that_is_told_to_end_alone_hands_over(own_server: StartServer) -> None:
    """The arbiter keeps the sockets: whoever connects meanwhile is served by the next front."""
    server = own_server("evaluates.py")
    first = front_of(server).pid

    with SteadyLoad(lambda: server.address.open(5.0), b'"1"', kept=4, fresh=2) as clients:
        clients.answers(100)
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: not alive(first), what="the first front has ended")
        clients.answers(100)

    assert clients.tally.lost == []
    assert clients.tally.cut == []
    assert clients.tally.answered[200] == clients.tally.total - clients.tally.answered[503]
    assert front_of(server).pid != first


def test_more_fronts_cannot_be_asked_for(own_server: StartServer) -> None:
    server = own_server("evaluates.py")

    for number in (signal.SIGTTIN, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH):
        server.send_signal(number)
    server.wait_for_line("TTIN and TTOU are ignored")

    assert scores(server)
    assert front_of(server)


def test_nonsense_for_gunicorn_does_not_stop_the_server(own_server: StartServer) -> None:
    """WEB_CONCURRENCY belongs to other servers in the same image."""
    server = own_server("evaluates.py", settings={"WEB_CONCURRENCY": "many"})

    assert scores(server)


# -- as process 1 -------------------------------------------------------------------------


def _unshare() -> list[str]:
    command = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    return [*command, "--pid", "--fork", "--mount-proc", "--kill-child"]


def _can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_unshare(), "true"], capture_output=True, check=False).returncode == 0


ORPHANS = """
import os, json, time
def init():
    pass
def orphan(status):
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            time.sleep(0.05)
            os._exit(status)
        os._exit(0)
    os.waitpid(child, 0)
def run(data):
    for status in json.loads(data):
        orphan(status)
    return os.getppid()
"""


if _can_unshare():

    def serve_as_first(folder: Path, source: str, **settings: str) -> LiveServer:
        """Serve with the arbiter as process 1 of a namespace, as in a container."""
        folder.mkdir()
        (folder / "main.py").write_text(source)
        address = Address(port=free_port())
        command = (*_unshare(), *SERVE, "--port", str(address.port))
        environment = {"AML_APP_ROOT": str(folder)} | settings
        return LiveServer(command, folder, environment, address).wait_ready()

    def end(server: LiveServer) -> int:
        """End process 1 of the namespace; its exit status."""
        os.kill(front_of(server).pid, signal.SIGTERM)
        return server.wait_exit(10)

    def test_orphans_that_end_with_3_or_4_do_not_end_the_server(tmp_path: Path) -> None:
        """They are handed to process 1; their status says nothing about the server."""
        server = serve_as_first(tmp_path / "app", ORPHANS)

        assert server.score([3, 4, 0, 1]) > 1
        wait_until(lambda: _zombies(server) == 0, what="they were reaped")

        assert server.score([]) > 1
        assert end(server) == 0

    def test_process_1_starts_a_killed_front_anew(tmp_path: Path) -> None:
        server = serve_as_first(tmp_path / "app", ORPHANS, WORKER_PRELOAD="true")
        first = front_of(server)
        front = next(each for each in tree(server.pid) if each.parent == first.pid)

        os.kill(front.pid, signal.SIGKILL)

        wait_until(lambda: not alive(front.pid), what="it is gone")
        wait_until(lambda: _scores_nothing(server), what="it scores again")
        assert _zombies(server) == 0
        assert end(server) == 0

    def test_process_1_ends_with_3_when_the_script_never_starts(tmp_path: Path) -> None:
        folder = tmp_path / "app"
        folder.mkdir()
        (folder / "main.py").write_text("raise ValueError('broken')")
        command = (*_unshare(), *SERVE, "--port", str(free_port()))
        server = LiveServer(command, folder, {"AML_APP_ROOT": str(folder)}, Address())

        assert server.wait_exit(20) == 3
        assert "broken" in server.log


def _zombies(server: LiveServer) -> int:
    return sum(each.state == "Z" for each in tree(server.pid))


def _scores_nothing(server: LiveServer) -> bool:
    try:
        return server.post(json=[], timeout=2.0).status == 200
    except (ConnectionError, ConnectionEnded, TimeoutError):
        return False
