"""Under steady load: a stop, a killed worker, a recycle and a reload lose nothing.

A few repetitions of each; ``benchmarks/faults.py`` runs a hundred.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness.steady import SteadyLoad, Tally
from support.listening import LISTENING
from support.processes import alive, tree
from support.server import LiveServer, StartServer
from support.wait import wait_until

PRELOAD = {"WORKER_PRELOAD": "true"}


def load(server: LiveServer, *, kept: int = 12, fresh: int = 4) -> SteadyLoad:
    """Clients of a server, on whatever it listens."""

    def connect() -> socket.socket:
        return server.address.open(2.0)

    return SteadyLoad(connect, b'"x"', kept=kept, fresh=fresh)


def workers(server: LiveServer) -> list[int]:
    """The scoring processes: what the front has started, and what those have forked."""
    everything = tree(server.pid)
    fronts = {each.pid for each in everything if each.parent == server.pid}
    return [each.pid for each in everything if each.pid != server.pid and each.pid not in fronts]


def nothing_lost(tally: Tally) -> None:
    assert tally.lost == []
    assert tally.cut == []


# -- stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize("where", LISTENING)
@pytest.mark.parametrize("script", ["echo.py", "counts_init.py"])
def test_a_stop_loses_nothing(
    own_server: StartServer, tmp_path: Path, where: str, script: str
) -> None:
    """RequestHistory connections end with an answer that says so; none is closed without a word."""
    address, arguments = LISTENING[where](tmp_path)
    server = own_server(script, address=address, arguments=arguments)

    with load(server) as clients:
        clients.answers(200)
        server.send_signal(signal.SIGTERM)
        status = server.wait_exit(20)

    assert status == 0
    nothing_lost(clients.tally)
    assert set(clients.tally.answered) == {200}
    assert clients.tally.refused > 0


def test_a_stop_from_the_keyboard_loses_nothing(own_server: StartServer) -> None:
    """Ctrl-C reaches arbiter and front at the same time."""
    server = own_server("counts_init.py")

    with load(server) as clients:
        clients.answers(100)
        os.killpg(server.pid, signal.SIGINT)
        status = server.wait_exit(20)

    assert status == 0
    nothing_lost(clients.tally)
    assert set(clients.tally.answered) == {200}


def test_a_second_stop_from_the_keyboard_does_not_wait(own_server: StartServer) -> None:
    server = own_server("gated.py")
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"never"')
        server.wait_for_file("never.begun")

        os.killpg(server.pid, signal.SIGINT)
        server.wait_for_line("stopping")
        os.killpg(server.pid, signal.SIGINT)

        assert server.wait_exit(15) == 0


def test_a_stop_that_is_repeated_is_still_gentle(own_server: StartServer) -> None:
    server = own_server("gated.py")
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"first"')
        server.wait_for_file("first.begun")
        front = next(each.pid for each in tree(server.pid) if each.parent == server.pid)

        for _ in range(3):
            os.kill(front, signal.SIGTERM)
            assert connection.silent(0.05)
        server.make("first.go")

        assert connection.read_response().status == 200


def test_a_large_answer_under_way_is_finished(own_server: StartServer) -> None:
    """An answer that has left the server's hands but not its buffers counts as unanswered."""
    server = own_server("evaluates.py")
    with server.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.send_request("POST", "/score", body=b"\"'x' * 30_000_000\"")
        assert connection.read_head().status == 200

        server.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait_exit(2)  # longer than idle connections linger
        body = connection.read_to_end()
    assert len(body) == 30_000_002
    assert server.wait_exit(10) == 0


@pytest.mark.parametrize("moment", range(0, 240, 30))
def test_a_stop_at_any_moment_of_the_start_is_heard(own_server: StartServer, moment: int) -> None:
    """A signal that comes before the front can act on it is kept, not lost."""
    server = own_server("echo.py", wait="")
    arbiter = wait_until(lambda: len(tree(server.pid)) > 1, what="the front has been started")
    assert arbiter
    threading.Event().wait(moment / 1000)  # the moments are what is tested

    server.send_signal(signal.SIGTERM)

    assert server.wait_exit(15) == 0


# -- a killed worker ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "count", "settings"),
    [
        ("echo.py", 1, {}),
        ("echo.py", 2, {}),
        ("counts_init.py", 2, {}),
        ("echo.py", 2, PRELOAD),
    ],
)
def test_a_killed_worker_fails_at_most_the_one_inside(
    own_server: StartServer, script: str, count: int, settings: dict[str, str]
) -> None:
    """Also when more were written ahead behind it: they are scored by whoever comes next."""
    server = own_server(script, settings={"WORKER_COUNT": str(count)} | settings)
    wait_until(lambda: _ready(server) == count, what="all workers serve")

    with load(server) as clients:
        clients.answers(200)
        os.kill(workers(server)[-1], signal.SIGKILL)
        server.wait_for_line("SIGKILL")
        clients.answers(200)

    nothing_lost(clients.tally)
    assert set(clients.tally.answered) <= {200, 500}
    assert clients.tally.answered[500] <= 1


def test_the_one_inside_hears_of_it_at_once(own_server: StartServer) -> None:
    server = own_server("gated.py")
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"inside"')
        server.wait_for_file("inside.begun")

        os.kill(int((server.folder / "inside.begun").read_text()), signal.SIGKILL)

        assert connection.read_response().status == 500


def test_a_killed_loader_takes_its_workers_along_and_no_more(own_server: StartServer) -> None:
    settings = {"WORKER_COUNT": "2"} | PRELOAD
    server = own_server("echo.py", settings=settings)
    wait_until(lambda: _ready(server) == 2, what="both workers serve")
    loader = next(each.parent for each in tree(server.pid) if each.pid == workers(server)[-1])

    with load(server) as clients:
        clients.answers(200)
        os.kill(loader, signal.SIGKILL)
        wait_until(lambda: not alive(loader), what="the loader is gone")
        clients.answers(200)

    nothing_lost(clients.tally)
    assert clients.tally.answered[500] <= 2
    wait_until(lambda: _ready(server) == 2, what="both workers are back")


# -- replaced workers ---------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"WORKER_COUNT": "2"}, {"WORKER_COUNT": "2"} | PRELOAD])
def test_recycling_by_requests_fails_none(
    own_server: StartServer, settings: dict[str, str]
) -> None:
    server = own_server("echo.py", settings={"SCOREHOST_MAX_REQUESTS": "300"} | settings)

    with load(server) as clients:
        wait_until(lambda: len(server.lines("is being replaced")) >= 5, what="five recycles")

    nothing_lost(clients.tally)
    assert set(clients.tally.answered) == {200}
    assert server.lines("killed") == []


LEAKS = """
kept = []
def init():
    pass
def run(data):
    kept.append(bytearray(1 << 20))
    return len(kept)
"""


@pytest.mark.parametrize("settings", [{}, PRELOAD])
def test_recycling_by_memory_fails_none(own_server: StartServer, settings: dict[str, str]) -> None:
    """A script that loses a megabyte with every request is replaced again and again."""
    limit = {"SCOREHOST_MAX_WORKER_MEMORY": "150MiB"}
    server = own_server(files={"main.py": LEAKS}, settings=limit | settings)

    with load(server, kept=2, fresh=1) as clients:
        wait_until(lambda: len(server.lines("MiB of memory")) >= 3, what="three recycles")

    nothing_lost(clients.tally)
    assert set(clients.tally.answered) == {200}


def test_a_memory_limit_below_a_fresh_worker_is_said_once(own_server: StartServer) -> None:
    """Replacing would not help, and would go on for ever."""
    server = own_server("echo.py", settings={"SCOREHOST_MAX_WORKER_MEMORY": "5MiB"})

    server.wait_for_line("SCOREHOST_MAX_WORKER_MEMORY", "Raise the limit")

    assert server.score("x") == "x"
    assert server.lines("is being replaced") == []


@pytest.mark.parametrize("settings", [{}, {"WORKER_COUNT": "2"}, {"WORKER_COUNT": "2"} | PRELOAD])
def test_a_reload_fails_none(own_server: StartServer, settings: dict[str, str]) -> None:
    server = own_server("echo.py", settings=settings)

    with load(server) as clients:
        for number in (1, 2, 3):
            clients.answers(100)
            server.send_signal(signal.SIGHUP)
            wait_until(lambda n=number: len(server.lines("reloaded: ")) == n, what="reloaded")
        clients.answers(100)

    nothing_lost(clients.tally)
    assert set(clients.tally.answered) == {200}


def _ready(server: LiveServer) -> int:
    document = server.get("/readyz").json()
    ready: int = document["workers"]["ready"]
    return ready
