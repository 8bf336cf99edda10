"""Ends: of the server, of a worker, of the front."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.client import ConnectionEnded, request_bytes
from support.processes import alive, in_session, listening_ports, tree
from support.server import LiveServer, StartServer
from support.wait import wait_until


def _worker(server: LiveServer) -> int:
    """The process that scores."""
    pid: int = server.score()["pid"]
    return pid


@pytest.fixture
def server(own_server: StartServer) -> LiveServer:
    return own_server("gated.py")


# -- the polite end -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_with_status_0(server: LiveServer, number: signal.Signals) -> None:
    processes = [process.pid for process in tree(server.pid)]

    server.send_signal(number)

    assert server.wait_exit(10) == 0
    assert not [pid for pid in processes if alive(pid)]
    assert len(processes) >= 3


def test_everything_accepted_is_answered(server: LiveServer) -> None:
    """The one that runs, those that wait, and those that came on a kept connection."""
    connections = [server.connect() for _ in range(4)]
    connections[0].send_request("POST", "/score", body=b'"first"')
    server.wait_for_file("first.begun")
    for connection in connections[1:]:
        connection.send_request("POST", "/score", body=b"null")
    assert server.get("/livez").status == 200

    server.send_signal(signal.SIGTERM)
    wait_until(lambda: not _accepts(server), what="the listener is closed")
    server.make("first.go")

    for connection in connections:
        response = connection.read_response()
        assert response.status == 200
        assert "close" in response.listed("Connection")
        assert connection.at_end()
        connection.close()
    assert server.wait_exit(10) == 0


def test_readyz_turns_before_the_listener_closes(own_server: StartServer) -> None:
    """The delay is for load balancers: they see the 503 and the others still get through."""
    server = own_server("gated.py", settings={"SCOREHOST_SHUTDOWN_DELAY": "3"})

    server.send_signal(signal.SIGTERM)

    wait_until(lambda: server.get("/readyz").status == 503, timeout=2.5, what="not ready")
    assert server.get("/livez").status == 200
    assert "pid" in server.score()
    assert server.wait_exit(10) == 0


def test_an_idle_connection_does_not_hold_the_server(server: LiveServer) -> None:
    with server.connect() as connection:
        assert connection.request("GET", "/livez").status == 200

        server.send_signal(signal.SIGTERM)

        assert connection.at_end()
        assert connection.how_ended == "closed"
        assert server.wait_exit(10) == 0


def test_half_a_request_does_not_hold_the_server(server: LiveServer) -> None:
    """What was not sent whole is not owed an answer."""
    for half in (b"POST /score HT", request_bytes("POST", "/score", body=b"null")[:-2]):
        server.connect().send(half)
    assert server.get("/livez").status == 200

    server.send_signal(signal.SIGTERM)

    assert server.wait_exit(15) == 0


def test_the_grace_time_bounds_the_end(own_server: StartServer) -> None:
    server = own_server("gated.py", settings={"SCOREHOST_SHUTDOWN_GRACE": "1"})
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"never"')
        server.wait_for_file("never.begun")

        server.send_signal(signal.SIGTERM)

        assert server.wait_exit(15) == 0
        answer = connection.read_response_or_end()
        assert answer is None or answer.status in (500, 503)
    assert in_session(server.pid) == []


def test_an_end_while_init_runs_does_not_wait_for_it(own_server: StartServer) -> None:
    server = own_server("gated_init.py", wait="listening")
    server.wait_for_file("init.begun")

    server.send_signal(signal.SIGTERM)

    assert server.wait_exit(10) == 0
    assert in_session(server.pid) == []


def test_a_signal_to_all_processes_drains_too(server: LiveServer) -> None:
    """As supervisors send it that know only the group."""
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"inside"')
        server.wait_for_file("inside.begun")

        os.killpg(server.pid, signal.SIGTERM)
        wait_until(lambda: not _accepts(server), what="the listener is closed")
        assert connection.silent()
        server.make("inside.go")

        assert connection.read_response().status == 200
    assert server.wait_exit(10) == 0


def test_a_hostile_script_cannot_hold_the_server(own_server: StartServer) -> None:
    """It ignores the signals, breaks print and sockets and leaves its folder."""
    server = own_server("hostile.py")

    assert server.score({"still": "scores"}) == {"still": "scores"}
    assert server.stop() == 0


def test_a_stream_that_runs_is_finished(own_server: StartServer) -> None:
    server = own_server("streams.py")
    with server.connect() as connection:
        body = b'[{"yield": "first"}, {"wait": "go"}, {"yield": "last"}]'
        connection.send_request("POST", "/score", body=body)
        connection.read_head()
        assert connection.read_chunk() == b"first"

        server.send_signal(signal.SIGTERM)
        wait_until(lambda: not _accepts(server), what="the listener is closed")
        server.make("go")

        assert list(connection.iter_chunks()) == [b"last"]
    assert server.wait_exit(10) == 0


# -- a worker's end -----------------------------------------------------------------------


def test_a_killed_worker_costs_only_the_request_inside(server: LiveServer) -> None:
    """Its client hears so at once; whoever waited is served by the next worker."""
    inside, waiting = server.connect(), server.connect()
    inside.send_request("POST", "/score", headers=[("x-request-id", "inside")], body=b'"inside"')
    server.wait_for_file("inside.begun")
    waiting.send_request("POST", "/score", body=b"null")
    assert server.get("/livez").status == 200
    killed = int((server.folder / "inside.begun").read_text())

    os.kill(killed, signal.SIGKILL)

    lost, served = inside.read_response(), waiting.read_response()
    assert lost.status == 500
    assert lost.message
    assert lost.header("x-ms-run-function-failed") == "True"
    assert served.status == 200
    assert served.json()["pid"] != killed
    assert "inside" in server.wait_for_line("SIGKILL")


def test_an_idle_worker_that_is_killed_costs_nothing(server: LiveServer) -> None:
    before = _worker(server)

    os.kill(before, signal.SIGKILL)
    server.wait_for_line("SIGKILL")

    assert server.wait_ready() is server
    assert _worker(server) != before


@pytest.mark.parametrize(
    ("how", "said"),
    [("exit", "7"), ("_exit", "7"), ("segv", "SIGSEGV"), ("kill", "SIGKILL")],
)
def test_a_script_that_ends_its_process_gets_a_500_and_a_reason(
    own_server: StartServer, how: str, said: str
) -> None:
    server = own_server("dies.py")

    response = server.post(json=how, headers={"x-request-id": f"died-{how}"})

    assert response.status == 500
    assert response.message
    assert response.header("x-ms-run-function-failed") == "True"
    server.wait_for_line(f"died-{how}")
    if how != "exit":
        server.wait_for_line(said)
    server.wait_ready()
    assert "pid" in server.score()


def test_the_front_is_not_ready_between_two_workers(own_server: StartServer) -> None:
    source = "\n".join(
        [
            "import os, time",
            "from pathlib import Path",
            "HERE = Path(__file__).parent",
            "def init():",
            "    count = len(list(HERE.glob('init.*')))",
            "    (HERE / f'init.{count}').touch()",
            "    while count and not (HERE / 'go').exists():",
            "        time.sleep(0.005)",
            "def run(data):",
            "    return {'pid': os.getpid()}",
        ]
    )
    server = own_server(files={"main.py": source})

    os.kill(_worker(server), signal.SIGKILL)
    server.wait_for_file("init.1")
    ready, live, started = (server.get(f"/{name}") for name in ("readyz", "livez", "startupz"))
    server.make("go")

    assert (ready.status, live.status, started.status) == (503, 200, 200)
    assert "pid" in server.wait_ready().score()


def test_a_killed_worker_of_a_preloaded_pool_is_replaced(own_server: StartServer) -> None:
    settings = {"WORKER_PRELOAD": "true", "WORKER_COUNT": "2"}
    server = own_server("counts_init.py", settings=settings)
    killed = server.score()["pid"]

    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not alive(killed), what="it is gone")

    assert server.wait_ready().score()["pid"] != killed
    assert len((server.folder / "init.log").read_text().split()) == 1


def test_a_worker_is_replaced_after_its_number_of_requests(own_server: StartServer) -> None:
    """Its successor is ready before it goes: nobody waits for it, nothing is refused."""
    server = own_server("counts_init.py", settings={"SCOREHOST_MAX_REQUESTS": "5"})
    seen: list[int] = []

    def three() -> bool:
        seen.append(server.score()["pid"])
        return len(set(seen)) == 3

    wait_until(three, what="a third worker scores")
    wait_until(lambda: not alive(seen[0]), what="the first has ended")


def test_a_replacement_that_fails_is_tried_again(own_server: StartServer) -> None:
    """With a pause that grows; meanwhile what failed is told, and the server lives on."""
    server = own_server("heals.py")
    server.make("broken")
    os.kill(_worker(server), signal.SIGKILL)
    wait_until(lambda: len(_attempts(server)) >= 3, what="tried twice")

    ready, live, score = server.get("/readyz"), server.get("/livez"), server.post(json=None)
    (server.folder / "broken").unlink()

    assert (ready.status, live.status, score.status) == (503, 200, 503)
    failure = ready.json()["last_failure"]
    assert failure["error"] == "RuntimeError"
    assert server.lines("did not start", f"(reference {failure['reference']})")
    assert "broken for now" in server.log
    assert "pid" in server.wait_ready().score()


def test_the_others_serve_while_a_replacement_fails(own_server: StartServer) -> None:
    server = own_server("heals.py", settings={"WORKER_COUNT": "2"})
    wait_until(lambda: len(_attempts(server)) == 2, what="both workers ran init()")
    server.make("broken")
    killed = _worker(server)

    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(_attempts(server)) >= 4, what="tried twice")

    assert server.get("/readyz").status == 200
    assert _worker(server) != killed


def test_a_worker_that_dies_in_a_stream_cuts_it(own_server: StartServer) -> None:
    server = own_server("streams.py")
    with server.connect() as connection:
        body = b'[{"yield": "first"}, {"wait": "never"}]'
        connection.send_request("POST", "/score", body=body)
        connection.read_head()
        assert connection.read_chunk() == b"first"

        [worker] = [each.pid for each in tree(server.pid) if not _parents(server, each.pid)]
        os.kill(worker, signal.SIGKILL)

        with pytest.raises(ConnectionEnded):
            connection.read_chunk()
    assert server.wait_ready().post(json=[{"yield": "next"}]).body == b"next"


@pytest.mark.parametrize("how", ["raise", "exit", "return"])
def test_a_child_that_the_script_forks_does_not_answer(own_server: StartServer, how: str) -> None:
    """Whatever it leaves run() with: only the worker itself goes on."""
    server = own_server("forks.py")
    worker = _worker(server)

    answers = [server.score(value) for value in (how, None, how, None)]

    assert answers == [{"pid": worker}] * 4


def test_a_child_that_stays_does_not_hide_its_workers_end(own_server: StartServer) -> None:
    server = own_server("forks.py")
    killed = server.score("stay")["pid"]
    children = [each.pid for each in tree(killed) if each.pid != killed]

    os.kill(killed, signal.SIGKILL)

    server.wait_for_line("SIGKILL")
    assert server.wait_ready().score()["pid"] != killed
    [child] = children
    wait_until(lambda: not alive(child), what="the server has ended it too")


@pytest.mark.parametrize("way", ["fork", "spawn", "asyncio", "subprocess", "thread"])
def test_a_script_may_use_processes_threads_and_loops(live_server: StartServer, way: str) -> None:
    assert live_server("uses_processes.py").score(way) == 3


def test_a_worker_holds_no_listener_and_leaves_no_zombie(server: LiveServer) -> None:
    """Or the port would stay taken after the server's end."""
    worker = _worker(server)
    assert listening_ports(worker) == set()

    os.kill(worker, signal.SIGKILL)
    server.wait_for_line("SIGKILL")
    server.wait_ready()

    wait_until(lambda: not [each for each in tree(server.pid) if each.ended], what="no zombie")


# -- the front's end ----------------------------------------------------------------------


def test_a_killed_front_is_started_anew_and_leaves_no_worker_behind(server: LiveServer) -> None:
    worker = _worker(server)
    [front] = [process.parent for process in tree(server.pid) if process.pid == worker]
    assert front != server.pid

    os.kill(front, signal.SIGKILL)

    wait_until(lambda: not alive(worker), what="its worker ended with it")
    wait_until(lambda: _scores(server), timeout=30, what="the server scores again")
    assert _worker(server) != worker


def test_hup_gives_new_workers_and_loses_nothing(server: LiveServer) -> None:
    before = _worker(server)
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"inside"')
        server.wait_for_file("inside.begun")

        server.send_signal(signal.SIGHUP)
        wait_until(lambda: _worker(server) != before, timeout=30, what="a new worker scores")
        server.make("inside.go")

        assert connection.read_response().json()["pid"] == before
    wait_until(lambda: not alive(before), what="the old worker has ended")


def test_no_file_is_left_behind(own_server: StartServer) -> None:
    """Neither in the app root nor in the home folder."""
    server = own_server("echo.py", settings={"PYTHONDONTWRITEBYTECODE": "1"})
    server.check_stopped()

    assert [file.name for file in server.folder.iterdir()] == ["echo.py"]


def test_nothing_is_written_to_the_home_folder(own_server: StartServer, tmp_path: Path) -> None:
    server = own_server("echo.py", settings={"HOME": str(tmp_path)})
    server.check_stopped()

    assert list(tmp_path.iterdir()) == []


def _attempts(server: LiveServer) -> str:
    """A character for each time that init() was begun."""
    return (server.folder / "init.log").read_text()


def _parents(server: LiveServer, pid: int) -> list[int]:
    """The processes of the server whose parent is this one."""
    return [each.pid for each in tree(server.pid) if each.parent == pid]


def _accepts(server: LiveServer) -> bool:
    try:
        server.connect(1.0).close()
    except (ConnectionRefusedError, TimeoutError):  # closed, or no longer letting anybody in
        return False
    return True


def _scores(server: LiveServer) -> bool:
    try:
        return server.post(json=None, timeout=2.0).status == 200
    except (ConnectionError, ConnectionEnded, TimeoutError):
        return False
