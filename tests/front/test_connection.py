"""What a connection waits for, and what happens when that takes too long: a clock that is told."""

from __future__ import annotations

import pytest

from support.client import Response, request_bytes
from support.memory import MemoryConnection, MemoryServer

LIMITS = {
    "SCOREHOST_HEADER_TIMEOUT": "10",
    "SCOREHOST_BODY_TIMEOUT": "30",
    "SCOREHOST_IDLE_TIMEOUT": "75",
}
POST = request_bytes("POST", "/score", body=b"[1]")
HEAD, BODY = POST.split(b"\r\n\r\n")
HEAD += b"\r\n\r\n"


@pytest.fixture
def server(own_server) -> MemoryServer:
    return own_server("echo.py", settings=LIMITS)


def refusal(client: MemoryConnection) -> Response:
    """The 408 that ends a connection."""
    answer = client.read_response()
    assert (answer.status, answer.header("Connection")) == (408, "close")
    return answer


# -- waiting for the client -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "limit"),
    [(b"", 10), (b"\r\n", 10), (POST, 75)],
    ids=["nothing yet", "an empty line", "a request, answered"],
)
def test_a_silent_client_is_let_go_without_a_word(server: MemoryServer, sent: bytes, limit: int):
    client = server.connect()
    client.send(sent)
    if sent == POST:
        assert client.read_response().status == 200

    server.pass_by(limit - 1)
    assert client.silent()
    server.pass_by(2.5)
    assert client.at_end()


@pytest.mark.parametrize(
    ("sent", "limit", "said"),
    [
        (HEAD[:20], 10, "The headers of the request did not arrive within 10 s"),
        (HEAD[:-2], 10, "The headers of the request did not arrive within 10 s"),
        (HEAD, 30, "The body of the request did not arrive at a pace of 8192 bytes within 30 s"),
        (HEAD + BODY[:1], 30, "did not arrive at a pace of 8192 bytes within 30 s"),
    ],
    ids=["request line", "before the blank line", "no body", "part of the body"],
)
def test_a_request_that_does_not_arrive(server: MemoryServer, sent: bytes, limit: int, said: str):
    client = server.connect()
    client.send(sent)

    server.pass_by(limit - 1)
    assert client.silent()
    server.pass_by(2.5)
    assert said in refusal(client).message
    assert client.at_end()


def test_headers_have_one_time_limit(server: MemoryServer):
    slow_head = server.connect()
    for piece in (HEAD[:10], HEAD[10:20]):
        slow_head.send(piece)
        server.pass_by(5.5)
    server.pass_by(1.5)
    assert "headers" in refusal(slow_head).message


def test_the_first_headers_have_their_time_from_the_connection(server: MemoryServer):
    late = server.connect()
    server.pass_by(6)
    late.send(HEAD[:10])
    server.pass_by(5.5)
    assert "headers" in refusal(late).message


def test_a_body_has_its_time_limit_for_every_eight_kilobytes(server: MemoryServer):
    value = b'"' + b"x" * 20_000 + b'"'
    steady, trickling = server.connect(), server.connect()
    head = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(value)
    steady.send(head)
    trickling.send(head)

    for start in range(0, len(value), 8192):
        server.pass_by(25)
        steady.send(value[start : start + 8192])
        if start < 8192:
            trickling.send(value[start : start + 8000])
    assert steady.read_response().status == 200
    assert "8192 bytes within 30 s (SCOREHOST_BODY_TIMEOUT)" in refusal(trickling).message


def test_what_the_server_takes_long_for_costs_the_client_nothing(server: MemoryServer):
    (worker,) = server.workers
    worker.paused = True
    client = server.connect()
    client.send(POST)

    server.pass_by(20)  # under the deadline, over the client's own limits for headers
    worker.paused = False
    assert client.read_response().status == 200


def test_a_pipelined_request_has_its_time_from_the_answer_before_it(server: MemoryServer):
    (worker,) = server.workers
    worker.paused = True
    client = server.connect()
    client.send(POST + HEAD)
    server.pass_by(50)
    worker.paused = False
    assert client.read_response().status == 200

    server.pass_by(29)
    client.send(BODY)
    assert client.read_response().status == 200


def test_a_refused_client_may_finish_sending_for_two_seconds(server: MemoryServer):
    client = server.connect()
    client.send(b"POST /score HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    assert client.read_response().status == 400
    connection = client.connection
    assert not connection.lost

    server.pass_by(3.5)
    assert connection.lost


# -- slow readers -----------------------------------------------------------------------------


def test_a_client_that_takes_nothing_of_its_answer_is_cut(server: MemoryServer):
    client = server.connect()
    client.transport.room = 0
    large = b'"' + b"x" * 200_000 + b'"'
    client.send(request_bytes("POST", "/score", body=large))

    server.pass_by(29)
    assert not client.connection.lost
    server.pass_by(2.5)
    assert client.connection.lost


def test_a_client_that_never_takes_the_end_of_its_last_answer_is_let_go(server: MemoryServer):
    """Less than the transport keeps before it pauses: nobody else would notice."""
    client = server.connect()
    client.transport.room = 0
    client.send(request_bytes("POST", "/score", headers=[("Connection", "close")], body=b"[1]"))

    server.pass_by(29)
    assert not client.connection.lost
    server.pass_by(40)
    assert client.connection.lost


def test_one_that_takes_some_of_its_last_answer_and_no_more_is_let_go(server: MemoryServer):
    """A connection that is closing stays so; it does not become an idle one, which may wait."""
    client = server.connect()
    client.transport.room = 0
    large = b'"' + b"x" * 200_000 + b'"'
    client.send(request_bytes("POST", "/score", headers=[("Connection", "close")], body=large))
    client.transport.room = 190_000
    client.transport.take()
    client.transport.room = 0
    server.run()
    assert not client.connection.lost
    assert client.connection.writable

    server.pass_by(65)  # under the 75 s of an idle connection
    assert client.connection.lost


def test_one_that_takes_some_of_it_is_waited_for(server: MemoryServer):
    client = server.connect()
    client.transport.room = 0
    large = b'"' + b"x" * 400_000 + b'"'
    client.send(request_bytes("POST", "/score", body=large))
    for _ in range(4):
        server.pass_by(29)
        client.transport.room = 10_000
        client.transport.take()
        server.run()
        assert not client.connection.lost


# -- who leaves -------------------------------------------------------------------------------


def test_a_client_that_leaves_while_its_request_waits_is_not_scored_for(server: MemoryServer):
    (worker,) = server.workers
    worker.paused = True
    first, second = server.connect(), server.connect()
    first.send(POST)
    second.send(POST)
    second.reset()

    worker.paused = False
    assert first.read_response().status == 200
    assert worker.handle.scored == 1
    assert "499" in server.wait_for_line(" 499 ")


def test_past_the_limit_the_one_idle_longest_goes(own_server):
    server = own_server("echo.py", settings={"SCOREHOST_MAX_CONNECTIONS": "2"})
    first = server.connect()
    server.pass_by(1)
    second = server.connect()
    server.pass_by(1)
    third = server.connect()
    server.run()

    assert [each.connection.lost for each in (first, second, third)] == [True, False, False]


# -- the end ----------------------------------------------------------------------------------


def test_leaving_fails_readiness_alone(server: MemoryServer):
    server.front.leave()

    assert server.get("/readyz").status == 503
    assert server.get("/readyz").json()["state"] == "draining"
    assert server.get("/livez").status == 200
    with server.connect() as client:
        answer = client.request("POST", "/score", body=b"[1]")
        assert (answer.status, answer.header("Connection")) == (200, None)


@pytest.mark.parametrize("first", ["/livez", "/nowhere"])
def test_what_follows_the_last_answer_is_not_served(server: MemoryServer, first: str):
    """RFC 9112, 9.6: not even what has come in the same packet."""
    client = server.connect()
    assert server.score([0]) == [0]
    (worker,) = server.workers
    scored = worker.handle.scored
    server.front.drain()
    client.send(request_bytes("GET", first) + request_bytes("POST", "/score", body=b"[42]"))
    server.pass_by(0.5)

    assert client.read_response().header("Connection") == "close"
    assert worker.handle.scored == scored
    assert not server.lines("POST /score 499")
    assert server.front.context.budget.held == 0


def test_draining_ends_each_connection_with_its_next_answer(server: MemoryServer):
    (worker,) = server.workers
    idle, asked = server.connect(), server.connect()
    assert idle.request("POST", "/score", body=b"[1]").header("Connection") is None
    worker.paused = True
    asked.send(POST)
    server.front.drain()
    worker.paused = False

    for client in (idle, asked):
        answer = client.read_response() if client is asked else client.request("GET", "/livez")
        assert (answer.status, answer.header("Connection")) == (200, "close")
        assert client.at_end()


def test_a_body_that_ends_while_the_server_drains_gets_the_last_answer(server: MemoryServer):
    client = server.connect()
    client.send(HEAD + BODY[:1])
    server.front.drain()
    client.send(BODY[1:])

    answer = client.read_response()
    assert (answer.status, answer.header("Connection")) == (200, "close")
    assert client.at_end()


def test_a_body_that_goes_on_arriving_is_not_silent(server: MemoryServer):
    """What is closed at the end is who says nothing; eight kilobytes are another limit."""
    slow, silent = server.connect(), server.connect()
    for each in (slow, silent):
        each.send(HEAD)
    for _ in range(4):
        server.pass_by(0.5)
        slow.send(b" ")
        server.front.connections.close_silent(server.loop.time(), 0.0, 1.0)
        server.run()

    assert silent.at_end()
    assert not slow.connection.lost


def test_who_still_waits_at_the_end_is_told(server: MemoryServer):
    (worker,) = server.workers
    worker.paused = True
    first, second = server.connect(), server.connect()
    first.send(POST)
    second.send(POST)

    server.front.stop(at_once=False, ended=lambda: None)
    server.run()

    answer = second.read_response()
    assert (answer.status, answer.message) == (503, "The server is stopping.")
