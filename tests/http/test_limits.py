"""Deadlines, sizes and queues: what the server refuses, and how it says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from support.client import Connection, ConnectionEnded, Response, chunked, request_bytes
from support.processes import alive, open_files, resident_bytes, tree
from support.server import LiveServer, StartServer
from support.wait import wait_until

# -- the deadline -------------------------------------------------------------------------


@pytest.fixture
def hasty(live_server: StartServer) -> LiveServer:
    """A server that gives run() 500 ms, and half a second more to notice."""
    settings = {"SCORING_TIMEOUT_MS": "500", "SCOREHOST_INTERRUPT_GRACE": "0.5"}
    return live_server("hangs.py", settings=settings)


@pytest.mark.parametrize("how", ["sleep", "spin", "c", "swallow"])
def test_at_the_deadline_the_client_has_its_504(hasty: LiveServer, how: str) -> None:
    response = hasty.post(json=how, headers={"x-request-id": f"late-{how}"})

    assert response.status == 504
    assert response.json() == {"message": "Scoring timeout after 500 ms"}
    assert response.header("x-ms-run-function-failed") == "True"
    assert response.header("x-ms-run-fn-exec-ms") is None
    hasty.wait_ready()
    assert hasty.score("fast")["scored"] >= 1


@pytest.mark.parametrize("how", ["sleep", "spin"])
def test_python_code_is_interrupted_and_its_worker_goes_on(hasty: LiveServer, how: str) -> None:
    hasty.wait_ready()
    before = hasty.score("fast")["pid"]

    assert hasty.post(json=how).status == 504

    assert hasty.score("fast")["pid"] == before


def test_native_code_that_does_not_return_loses_its_worker(hasty: LiveServer) -> None:
    hasty.wait_ready()
    before = hasty.score("fast")["pid"]

    assert hasty.post(json="c", headers={"x-request-id": "native-id"}).status == 504

    hasty.wait_for_line("native-id", "killing and replacing it")
    wait_until(lambda: not alive(before), what="the worker is gone")
    hasty.wait_ready()
    assert hasty.score("fast")["pid"] != before


def test_the_log_shows_where_the_deadline_found_it(hasty: LiveServer) -> None:
    hasty.post(json="spin", headers={"x-request-id": "stack-id"})

    hasty.wait_for_line("stack-id", "deadline of 500 ms")
    hasty.wait_for_line("hangs.py", "in run")
    hasty.wait_for_line("stack-id", "was interrupted in Python code")


def test_probes_are_answered_while_run_holds_the_interpreter(own_server: StartServer) -> None:
    settings = {"SCORING_TIMEOUT_MS": "3000", "SCOREHOST_INTERRUPT_GRACE": "0.2"}
    server = own_server("hangs.py", settings=settings)
    with server.connect() as stuck:
        stuck.send_request("POST", "/score", body=b'"c"')
        assert stuck.silent()

        for target in ("/livez", "/metrics"):
            assert server.get(target).status == 200
        assert stuck.silent()
        assert stuck.read_response().status == 504


def test_a_stream_past_the_deadline_is_aborted(own_server: StartServer) -> None:
    server = own_server("streams.py", settings={"SCORING_TIMEOUT_MS": "500"})

    with server.connect() as connection:
        body = b'[{"yield": "first"}, {"wait": "never"}]'
        connection.send_request("POST", "/score", body=body)
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"first"
        with pytest.raises(ConnectionEnded):
            connection.read_chunk()

    assert server.post(json=[{"yield": "next"}]).body == b"next"


def test_waiting_in_the_queue_does_not_count(own_server: StartServer) -> None:
    """The deadline counts from the moment that a worker begins the request."""
    server = own_server("evaluates.py", settings={"SCORING_TIMEOUT_MS": "1500"})

    def score(_: int) -> Any:
        return server.score("__import__('time').sleep(0.4) or 'done'")

    with ThreadPoolExecutor(5) as clients:
        assert list(clients.map(score, range(5))) == ["done"] * 5


# -- bodies -------------------------------------------------------------------------------

SMALL = {"SCOREHOST_MAX_BODY_BYTES": "1000"}


def _says_what_was_too_large(response: Response) -> None:
    assert response.status == 413
    assert "1000" in response.message
    assert "SCOREHOST_MAX_BODY_BYTES" in response.message
    assert response.header("x-ms-run-function-failed") == "False"


def test_a_body_at_the_limit_passes(live_server: StartServer) -> None:
    assert live_server("raw_text.py", settings=SMALL).post(body=b"x" * 1000).status == 200


def test_a_body_over_the_limit_is_refused_before_it_is_read(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings=SMALL)

    with server.connect() as connection:
        connection.send(request_bytes("POST", "/score", headers=[("Content-Length", "1001")]))
        _says_what_was_too_large(connection.read_response())


def test_a_body_over_the_limit_is_refused_when_it_is_sent_all_the_same(
    live_server: StartServer,
) -> None:
    """The answer arrives although the client goes on writing; no reset eats it."""
    server = live_server("raw_text.py", settings=SMALL)

    _says_what_was_too_large(server.post(body=b"x" * 300_000))


def test_a_chunked_body_over_the_limit_is_refused(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings=SMALL)
    head = request_bytes("POST", "/score", headers=[("Transfer-Encoding", "chunked")])

    with server.connect() as connection:
        connection.send(head + chunked(*[b"x" * 100] * 10))
        assert connection.read_response().status == 200
    with server.connect() as connection:
        connection.send(head + chunked(*[b"x" * 100] * 10, b"x"))
        _says_what_was_too_large(connection.read_response())


def test_a_length_beyond_all_numbers_is_refused(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings=SMALL)

    for length in ("9" * 18, "9" * 40):
        response = server.request("POST", "/score", headers={"Content-Length": length})
        assert response.status in (400, 413)
    assert server.get("/livez").status == 200


def test_headers_over_the_limit_are_refused(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings={"SCOREHOST_MAX_HEADER_BYTES": "4096"})

    assert server.post(body=b"x", headers={"X-Large": "h" * 3000}).status == 200
    for headers in ({"X-Large": "h" * 5000}, {f"X-{n}": "h" * 50 for n in range(100)}):
        response = server.post(body=b"x", headers=headers)
        assert response.status == 431
        assert "SCOREHOST_MAX_HEADER_BYTES" in response.message
    assert server.get("/score?" + "q" * 5000).status in (414, 431)


def test_trailers_over_the_limit_are_refused(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings={"SCOREHOST_MAX_HEADER_BYTES": "4096"})
    head = request_bytes("POST", "/score", headers=[("Transfer-Encoding", "chunked")])

    for trailers in (b"X: " + b"t" * 100_000, b"X: t\r\n" * 20_000):
        with server.connect() as connection:
            connection.send(head + b"1\r\nx\r\n0\r\n" + trailers + b"\r\n\r\n")
            answer = connection.read_response_or_end()
            assert answer is None or answer.status in (400, 431)
            assert connection.read_to_end() == b""


@pytest.mark.clock
def test_tiny_chunks_do_not_hold_the_server_up(live_server: StartServer) -> None:
    """The dearest way to send a body is its sender's trouble, not everybody's."""
    server = live_server("raw_text.py", settings={})
    head = request_bytes("POST", "/score", headers=[("Transfer-Encoding", "chunked")])
    data = head + b"1\r\nx\r\n" * 2_000_000 + b"0\r\n\r\n"

    with server.connect() as connection, ThreadPoolExecutor(1) as thread:
        sending = thread.submit(connection.send, data)
        waits = []
        while not sending.done() or not waits:
            asked = time.monotonic()
            assert server.get("/livez").status == 200
            waits.append(time.monotonic() - asked)
        assert len(connection.read_response().body) == 2_000_002

    assert max(waits) < 2.0


# -- the queue ----------------------------------------------------------------------------


def _wait_queued(server: LiveServer, connections: int) -> None:
    """Give the server the chance to take in what was sent, by a request after it."""
    for _ in range(connections):
        assert server.get("/livez").status == 200


def test_a_full_queue_refuses_with_retry_after(own_server: StartServer) -> None:
    server = own_server("gated.py", settings={"SCOREHOST_MAX_QUEUE_LENGTH": "2"})
    waiting = [server.connect() for _ in range(3)]
    waiting[0].send_request("POST", "/score", body=b'"first"')
    server.wait_for_file("first.begun")
    for connection in waiting[1:]:
        connection.send_request("POST", "/score", body=b'"later"')
    _wait_queued(server, 2)

    refused = server.post(json="refused")
    server.make("later.go")
    server.make("first.go")
    answers = [connection.read_response() for connection in waiting]

    assert refused.status == 503
    assert int(refused.header("Retry-After") or 0) >= 1
    assert "SCOREHOST_MAX_QUEUE_LENGTH" in refused.message
    assert "2" in refused.message
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert not (server.folder / "refused.begun").exists()


def test_a_wait_over_the_limit_is_refused_with_retry_after(own_server: StartServer) -> None:
    server = own_server("gated.py", settings={"SCOREHOST_MAX_QUEUE_WAIT_MS": "500"})
    with server.connect() as first:
        first.send_request("POST", "/score", body=b'"first"')
        server.wait_for_file("first.begun")

        refused = server.post(json="second")
        server.make("first.go")

        assert refused.status == 503
        assert int(refused.header("Retry-After") or 0) >= 1
        assert "SCOREHOST_MAX_QUEUE_WAIT_MS" in refused.message
        assert "500" in refused.message
        assert first.read_response().status == 200
    assert not (server.folder / "second.begun").exists()


def test_bodies_that_wait_are_bounded_in_bytes(own_server: StartServer) -> None:
    server = own_server("gated.py", settings={"SCOREHOST_MAX_QUEUE_BYTES": "100000"})
    first = server.connect()
    first.send_request("POST", "/score", body=b'"first"')
    server.wait_for_file("first.begun")
    waiting = [server.connect() for _ in range(20)]
    for connection in waiting:
        connection.send_request("POST", "/score", body=b'"later"' + b" " * 20_000)
    _wait_queued(server, 1)

    server.make("later.go")
    server.make("first.go")
    answers = [connection.read_response() for connection in waiting]

    refused = [answer for answer in answers if answer.status != 200]
    assert first.read_response().status == 200
    assert 0 < len(refused) < 20
    assert {answer.status for answer in refused} == {503}
    assert all("SCOREHOST_MAX_QUEUE_BYTES" in answer.message for answer in refused)
    assert all(int(answer.header("Retry-After") or 0) >= 1 for answer in refused)


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
def test_a_client_that_has_left_the_queue_is_not_scored(
    own_server: StartServer, leave: Callable[[Connection], None]
) -> None:
    server = own_server("gated.py")
    with server.connect() as first:
        first.send_request("POST", "/score", body=b'"first"')
        server.wait_for_file("first.begun")
        gone = server.connect()
        gone.send_request("POST", "/score", body=b'"gone"')
        _wait_queued(server, 1)
        leave(gone)
        _wait_queued(server, 1)

        server.make("first.go")
        assert first.read_response().status == 200

    assert server.score() != {}
    assert not (server.folder / "gone.begun").exists()


# -- slow clients -------------------------------------------------------------------------


def test_headers_that_do_not_arrive_are_given_up(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings={"SCOREHOST_HEADER_TIMEOUT": "0.3"})

    with server.connect() as connection:
        connection.send(b"POST /score HTTP/1.1\r\nHost: t\r\n")
        assert connection.read_response().status == 408
        assert connection.at_end()


def test_a_body_that_does_not_arrive_is_given_up(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings={"SCOREHOST_BODY_TIMEOUT": "0.3"})

    with server.connect() as connection:
        connection.send(request_bytes("POST", "/score", headers=[("Content-Length", "10")]))
        connection.send(b"x")
        assert connection.read_response().status == 408
        assert connection.at_end()


def test_a_body_that_arrives_slowly_is_waited_for(live_server: StartServer) -> None:
    """The limit is on every 8 KiB, not on the whole."""
    server = live_server("raw_text.py", settings={"SCOREHOST_BODY_TIMEOUT": "1.5"})

    with server.connect() as connection:
        connection.send(request_bytes("POST", "/score", headers=[("Content-Length", "49152")]))
        for _ in range(6):
            assert connection.silent(0.3)
            connection.send(b"x" * 8192)
        assert connection.read_response().json() == "x" * 49_152


def test_a_client_that_takes_no_answer_is_given_up(live_server: StartServer) -> None:
    """Its answer would stay in memory until it comes back."""
    server = live_server("evaluates.py", settings={"SCOREHOST_BODY_TIMEOUT": "0.5"})

    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b"\"'x' * 50_000_000\"")
        [front] = [each.pid for each in tree(server.pid) if each.parent == server.pid]
        wait_until(lambda: resident_bytes(front) > 60 << 20, what="the answer is there")
        wait_until(lambda: resident_bytes(front) < 60 << 20, what="the answer is let go")

        assert len(connection.read_to_end()) < 50_000_000


def test_bodies_leave_nothing_open(own_server: StartServer) -> None:
    """Large ones are kept in files: those of clients that left in the middle are closed too."""
    server = own_server("raw_text.py")
    body = b"x" * 2_000_000
    whole = request_bytes("POST", "/score", body=body)

    def descriptors() -> int:
        assert server.post(body=body).status == 200
        return sum(len(open_files(process.pid)) for process in tree(server.pid))

    before = descriptors()
    for _ in range(20):
        assert server.post(body=body).status == 200
        connection = server.connect()
        connection.send(whole[:1_000_000])
        connection.reset()

    wait_until(lambda: descriptors() <= before, what="as many files as before")


def test_an_idle_connection_is_closed_in_silence(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings={"SCOREHOST_IDLE_TIMEOUT": "0.3"})

    with server.connect() as connection:
        assert connection.request("GET", "/livez").status == 200
        assert connection.at_end()
        assert connection.how_ended == "closed"


def test_connections_over_the_limit_cost_an_idle_one(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings={"SCOREHOST_MAX_CONNECTIONS": "4"})
    with ExitStack() as closing:
        idle = [closing.enter_context(server.connect()) for _ in range(4)]
        for connection in idle:
            assert connection.request("GET", "/livez").status == 200

        assert server.post(body=b"x").status == 200

        assert len([connection for connection in idle if not connection.silent()]) == 1
