"""Whatever a script puts into an answer, its worker goes on."""

from __future__ import annotations

import json

import pytest

from support.client import ConnectionEnded
from support.server import LiveServer, StartServer
from support.strange_answers import FIRST, MIDDLE, WHOLE
from support.wait import wait_until

ANSWERS = WHOLE | {f"first: {name}": case for name, case in FIRST.items()}


@pytest.fixture(params=["false", "true"], ids=["production", "debug"])
def server(request: pytest.FixtureRequest, live_server: StartServer) -> LiveServer:
    settings = {"SCOREHOST_DEBUG": request.param, "WORKER_COUNT": "1"}
    return live_server("evaluates.py", settings=settings)


def test_no_answer_ends_the_worker(server: LiveServer) -> None:
    pid = server.score("os.getpid()")

    statuses = {name: server.post(json=source).status for name, (source, _) in ANSWERS.items()}

    assert statuses == {name: status for name, (_, status) in ANSWERS.items()}
    assert server.score("os.getpid()") == pid


def test_debug_mode_tells_the_reason_to_the_client(live_server: StartServer) -> None:
    server = live_server("evaluates.py", settings={"SCOREHOST_DEBUG": "true", "WORKER_COUNT": "1"})

    header = server.post(json=WHOLE["surrogate in a value"][0]).json()["error"]
    message = server.post(json=WHOLE["a surrogate in the message"][0]).json()["error"]

    assert "the value has '\\ud800' at 0" in header["message"]
    assert message["message"] == "\\ud800"


def test_half_a_character_in_a_name_that_a_client_sent(own_server: StartServer) -> None:
    """It becomes a part of what debug mode tells of the failure."""
    server = own_server("raises.py", settings={"SCOREHOST_DEBUG": "true", "WORKER_COUNT": "1"})

    response = server.post(body=b'{"\\ud800": 1}')

    assert response.status == 500
    assert "\\ud800" in str(response.json()["error"]["input"])
    assert server.lines("The process ended") == []


@pytest.mark.parametrize("source", MIDDLE.values(), ids=MIDDLE.keys())
def test_a_stream_that_fails_is_cut_off_and_the_worker_goes_on(
    server: LiveServer, source: str
) -> None:
    pid = server.score("os.getpid()")
    before = len(server.lines("the stream was cut off"))

    with server.connect() as connection:
        connection.send_request("POST", "/score", body=json.dumps(source).encode())
        assert connection.read_head().status == 200
        with pytest.raises(ConnectionEnded):
            list(connection.iter_chunks())

    assert server.score("os.getpid()") == pid
    wait_until(
        lambda: len(server.lines("the stream was cut off")) == before + 1, what="it is in the log"
    )


ABANDONED = """
import time
def g():
    try:
        while True:
            yield 'a' * 100_000
    finally:
        raise ValueError('at the end')
result = g()
"""


def test_a_stream_whose_end_raises_when_its_client_has_left(server: LiveServer) -> None:
    pid = server.score("os.getpid()")
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=json.dumps(ABANDONED).encode())
        assert connection.read_head().status == 200

    assert server.score("os.getpid()") == pid


@pytest.mark.parametrize("settings", [{}, {"WORKER_PRELOAD": "true"}], ids=["plain", "preload"])
@pytest.mark.parametrize("data", ["b'printed by a library'", "bytes(100)"])
def test_garbage_on_the_socket_of_a_worker(
    own_server: StartServer, settings: dict[str, str], data: str
) -> None:
    """Its client hears of it at once, and another worker takes its place."""
    server = own_server("evaluates.py", settings={"WORKER_COUNT": "1"} | settings)
    pid = server.score("os.getpid()")
    source = f"""
import socket, stat, struct, threading
for number in map(int, os.listdir('/proc/self/fd')):
    try:
        with socket.socket(fileno=os.dup(number)) as found:
            if found.family == socket.AF_UNIX and found.type == socket.SOCK_STREAM:
                os.write(number, {data})
    except OSError:
        pass
threading.Event().wait(600)
"""

    assert server.post(json=source).status == 500

    line = server.wait_for_line("something else wrote to its socket")
    assert f"(pid {pid})" in line
    server.wait_for_line("on which it answers")
    server.wait_ready()
    assert server.score("os.getpid()") != pid
    metrics = server.get("/metrics").text
    assert 'scorehost_worker_deaths_total{reason="garbled"} 1.0' in metrics
