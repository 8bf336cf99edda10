"""Clients that take their answers slowly, or not at all, cost nobody else anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from support.client import Connection, ConnectionEnded
from support.processes import resident_bytes, tree
from support.server import LiveServer, StartServer
from support.wait import wait_until

PATIENCE = {"SCOREHOST_BODY_TIMEOUT": "1"}
LARGE = b"\"'x' * 20_000_000\""


def narrow(server: LiveServer) -> Connection:
    """A connection that holds little that its client has not read."""
    connection = server.connect()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return connection


def front_of(server: LiveServer) -> int:
    """The front's process."""
    return next(each.pid for each in tree(server.pid) if each.parent == server.pid)


def pauses(seconds: float) -> Iterator[None]:
    """Wait a little between reads: the slowness is what is tested."""
    while True:
        threading.Event().wait(seconds)
        yield


def test_a_large_answer_that_is_taken_slowly_arrives_whole(own_server: StartServer) -> None:
    """The limit is on taking nothing, not on the whole."""
    server = own_server("evaluates.py", settings=PATIENCE)
    with narrow(server) as connection:
        connection.send_request("POST", "/score", body=LARGE)
        head = connection.read_head()
        length = int(head.header("Content-Length") or 0)

        taken, waits = 0, pauses(0.3)
        while taken < length - 14_000_000:  # over 2 s: twice the limit
            next(waits)
            taken += len(connection._take(min(800_000, length - taken)))
        taken += len(connection._take(length - taken))

        assert taken == length == 20_000_002
        assert connection.request("GET", "/livez").status == 200


def test_a_client_that_takes_nothing_of_a_large_answer_is_cut(own_server: StartServer) -> None:
    """Not only after the idle time, which is ten minutes."""
    server = own_server("evaluates.py", settings=PATIENCE)
    with narrow(server) as connection:
        connection.send_request("POST", "/score", body=LARGE)
        assert connection.read_head().status == 200

        wait_until(lambda: _connections(server) == 1, timeout=60, what="only the scrape is left")

        with pytest.raises(ConnectionEnded):
            connection._take(20_000_002)


def test_a_stream_goes_on_after_its_reader_has_caught_up(own_server: StartServer) -> None:
    """A reader that was slow once must not be cut later, while it waits for the next chunk."""
    server = own_server("streams.py", settings=PATIENCE)
    steps = b'[{"yield": "' + b"x" * 5_000_000 + b'"}, {"wait": "go"}, {"yield": "last"}]'
    with narrow(server) as connection:
        connection.send_request("POST", "/score", body=steps)
        connection.read_head()
        threading.Event().wait(0.3)  # let it run full
        assert len(connection.read_chunk()) == 5_000_000

        assert connection.silent(3.0)  # three times the limit
        server.make("go")

        assert list(connection.iter_chunks()) == [b"last"]


def test_a_client_that_asks_and_never_reads_is_not_served_without_end(
    own_server: StartServer,
) -> None:
    """Answers are not piled up for it: the next is begun when the last has been taken."""
    server = own_server("evaluates.py", settings={"SCOREHOST_BODY_TIMEOUT": "20"})
    server.get("/metrics")
    front = front_of(server)
    before = resident_bytes(front)
    one = b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n"
    with narrow(server) as connection:
        connection.socket.setblocking(False)
        sent = _send_while_it_takes(connection.socket, one * 20_000)

        assert server.get("/livez").status == 200
        assert resident_bytes(front) - before < 30_000_000
    assert sent


def _send_while_it_takes(sock: socket.socket, data: bytes) -> int:
    """Send until nothing was taken for half a second."""
    sent = 0
    for _ in pauses(0.05):
        before = sent
        try:
            while sent < len(data):
                sent += sock.send(data[sent : sent + 65536])
        except BlockingIOError:
            pass
        if sent == before or sent == len(data):
            return sent
    return sent


def test_a_slow_reader_of_a_stream_does_not_cost_the_worker_at_the_deadline(
    own_server: StartServer,
) -> None:
    """Its worker stands still in the middle of a chunk; it must get free and go on."""
    settings = {"SCORING_TIMEOUT_MS": "1000", "SCOREHOST_INTERRUPT_GRACE": "3"}
    server = own_server("streams.py", settings=settings)
    steps = b'[{"endless": "' + b"x" * 100_000 + b'"}]'
    with narrow(server) as connection:
        connection.send_request("POST", "/score", body=steps)
        assert connection.read_head().status == 200

        server.wait_for_line("deadline of 1000 ms")
        assert server.post(json=[{"yield": "next"}]).body == b"next"
    assert server.lines("killed") == []


def test_a_pipelined_request_is_not_too_slow_while_the_one_before_runs(
    own_server: StartServer,
) -> None:
    """What stands behind a long request is not read on: that is not its client's fault."""
    server = own_server("gated.py", settings=PATIENCE)
    with server.connect() as connection:
        for gate in ("first", "second"):
            connection.send_request("POST", "/score", body=b'"%s"' % gate.encode())
        connection.send(b"POST /score HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nnu")
        server.wait_for_file("first.begun")

        assert connection.silent(3.0)
        for gate in ("first", "second"):
            server.make(f"{gate}.go")
            assert connection.read_response().json()["gate"] == gate
        connection.send(b"ll")

        assert "pid" in connection.read_response().json()


def test_half_a_pipelined_request_is_given_up_in_time(own_server: StartServer) -> None:
    """Its headers have their own limit, not that of an idle connection."""
    server = own_server("echo.py", settings={"SCOREHOST_HEADER_TIMEOUT": "0.5"})
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b"1")
        connection.send(b"POST /score HTTP/1.1\r\nHo")

        assert connection.read_response().json() == 1
        assert connection.read_response().status == 408


def _connections(server: LiveServer) -> int:
    text = server.get("/metrics").text
    line = next(line for line in text.splitlines() if line.startswith("scorehost_connections "))
    return int(float(line.split()[1]))
