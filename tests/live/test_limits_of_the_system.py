"""When the system has no descriptors left, or signals come at the wrong time."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.processes import tree
from support.server import LiveServer, StartServer, clean_environment, free_port


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """What is started now may open 300 files, and at first only 200."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def limits_of(pid: int) -> tuple[int, int]:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)


def processes(server: LiveServer) -> tuple[int, int]:
    """The front and a worker."""
    everything = tree(server.pid)
    front = next(each.pid for each in everything if each.parent == server.pid)
    return front, next(each.pid for each in everything if each.parent == front)


def test_the_front_takes_what_it_may_and_leaves_scripts_what_they_had(
    own_server: StartServer, few_descriptors: None
) -> None:
    """Programs that call select() count on a low limit; the front is not one of them."""
    server = own_server("echo.py")
    front, worker = processes(server)

    assert limits_of(front)[0] == limits_of(front)[1] > 200
    assert limits_of(worker)[0] == 200


def test_a_server_without_descriptors_stays_alive(own_server: StartServer) -> None:
    """It neither spins nor dies; half of what there is stays its own, and others make room."""
    server = own_server("echo.py")
    front, _ = processes(server)
    most = 2 * len(list(Path(f"/proc/{front}/fd").iterdir())) + 20
    resource.prlimit(front, resource.RLIMIT_NOFILE, (most, most))

    with contextlib.ExitStack() as kept:
        crowd = [kept.enter_context(server.connect()) for _ in range(30)]
        for connection in crowd[-5:]:
            assert connection.request("GET", "/livez").status == 200
        assert crowd[0].at_end()
        assert not server.lines("not be accepted")

        large = crowd[-1].request("POST", "/score", body=b'"%b"' % (b"1" * 100_000))
        assert large.status in (200, 503)

    assert server.get("/livez").status == 200
    assert server.score(1) == 1


def test_a_low_limit_bounds_connections_by_closing_idle_ones(own_server: StartServer) -> None:
    """Before the system refuses, whoever has been idle longest has to go."""
    server = own_server("echo.py", shell='ulimit -n 160; exec "$@"')
    with contextlib.ExitStack() as kept:
        idle = [kept.enter_context(server.connect()) for _ in range(55)]
        for connection in idle:
            assert connection.request("GET", "/livez").status == 200

        for _ in range(30):
            kept.enter_context(server.connect())

        assert server.get("/livez").status == 200
        assert idle[0].at_end()
        assert idle[-1].request("GET", "/livez").status == 200
    assert server.lines("not be accepted") == []


# -- signals ------------------------------------------------------------------------------


def test_a_signal_to_every_single_process_drains_too(own_server: StartServer) -> None:
    """A service manager ends all processes of a unit at once; workers are the front's to end."""
    server = own_server("gated.py", settings={"WORKER_COUNT": "2", "WORKER_PRELOAD": "true"})
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"inside"')
        server.wait_for_file("inside.begun")

        for number in (signal.SIGTERM, signal.SIGINT):
            for process in tree(server.pid)[1:]:
                os.kill(process.pid, number)
        server.send_signal(signal.SIGTERM)
        server.wait_for_line("stopping")
        server.make("inside.go")

        assert connection.read_response().status == 200
    assert server.wait_exit(10) == 0


@pytest.mark.parametrize("preload", ["false", "true"])
def test_what_a_script_starts_ends_by_signals_as_ever(
    own_server: StartServer, preload: str
) -> None:
    """Neither programs nor forked processes inherit that the worker leaves them to the front."""
    source = """
import json, os, signal, subprocess, multiprocessing, time
def init():
    pass
def wait():
    time.sleep(60)
def run(data):
    program = subprocess.Popen(['sleep', '60'])
    forked = multiprocessing.get_context('fork').Process(target=wait)
    forked.start()
    program.terminate()
    forked.terminate()
    forked.join(30)
    return [program.wait(30), forked.exitcode]
"""
    server = own_server(files={"main.py": source}, settings={"WORKER_PRELOAD": preload})

    assert server.score(1) == [-signal.SIGTERM, -signal.SIGTERM]


def test_a_stop_before_anything_runs_is_a_clean_end(tmp_path: Path) -> None:
    """However early it comes, once the command runs at all."""
    (tmp_path / "main.py").write_text("def init(): pass\ndef run(data): return 1")
    early = (
        "import os, signal, sys, scorehost.cli as cli\n"
        "sys.argv = ['scorehost', 'serve', '--port', sys.argv[1]]\n"
        "import scorehost.commands.serve as serve\n"
        "import builtins; real = builtins.__import__\n"
        "def slow(name, *rest):\n"
        "    if name == 'scorehost.front.server':\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = slow\n"
        "cli.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", early, str(free_port())],
        env=clean_environment({"AML_APP_ROOT": str(tmp_path)}),
        capture_output=True,
        timeout=20,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_start_over_its_time_limit_is_called_so_however_early(own_server: StartServer) -> None:
    """Also when the process has not come so far that it could show its stacks."""
    hook = "import sys, time\nif sys.orig_argv[1].endswith('start.py'): time.sleep(30)"
    server = own_server(
        files={"main.py": "def init(): pass\ndef run(data): pass", "sitecustomize.py": hook},
        settings={"WORKER_TIMEOUT": "0.5", "PYTHONPATH": "."},
        wait="",
    )

    assert server.wait_exit(20) == 3
    assert "WORKER_TIMEOUT" in server.log
