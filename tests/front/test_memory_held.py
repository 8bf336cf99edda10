"""What is held for clients, and who gives way: bodies that arrive, answers that are not taken."""

from __future__ import annotations

import json
import time

import pytest

from support.client import Response, request_bytes
from support.memory import MemoryConnection, MemoryServer

MIB = 1 << 20
SETTINGS = {"SCOREHOST_MAX_QUEUE_BYTES": "512M", "SCOREHOST_MAX_UNTAKEN_BYTES": "8M"}
SMALL = {"SCOREHOST_MAX_QUEUE_BYTES": "1M", "SCOREHOST_MAX_BODY_BYTES": "1M"}
SCORE = request_bytes("POST", "/score", body=b"[1]")


def head(length: int, path: str = "/score", *, expect: str = "") -> bytes:
    line = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{expect}\r\n"
    return line.encode()


def begin_body(server: MemoryServer, there: int, announced: int) -> MemoryConnection:
    """Have a client send a part of a body."""
    server.pass_by(0.01)
    client = server.connect()
    client.send(head(announced) + b" " * there)
    return client


def held(server: MemoryServer) -> int:
    return server.front.context.budget.held


def refusal(client: MemoryConnection) -> Response:
    answer = client.read_response()
    assert (answer.status, answer.header("Connection")) == (503, "close")
    assert int(answer.header("Retry-After") or 0) >= 1
    assert "SCOREHOST_MAX_QUEUE_BYTES" in answer.message
    return answer


# -- what is announced ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/score", "/nothing/here", "/livez", "/docs"])
@pytest.mark.parametrize(
    "expect", ["", "Expect: 100-continue\r\n"], ids=["", "expects to be asked"]
)
def test_an_announcement_holds_nothing(own_server, path: str, expect: str):
    """Six requests whose bodies would fill the limit, and send none of it."""
    server = own_server("echo.py", settings=SETTINGS)
    for length in [*[100 * MIB] * 5, 12 * MIB]:
        server.connect().send(head(length, path, expect=expect))

    assert held(server) == 0
    assert server.score([1]) == [1]


def test_a_body_in_chunks_that_announces_a_large_one_holds_nothing(own_server):
    server = own_server("echo.py", settings=SETTINGS)
    for _ in range(6):
        client = server.connect()
        client.send(b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"5f00000\r\n")  # 95 MiB

    assert held(server) == 0
    assert server.score([1]) == [1]


def test_over_the_single_limit_an_announcement_is_refused(own_server):
    server = own_server("echo.py", settings=SETTINGS)
    client = server.connect()
    client.send(head(100 * MIB + 1))

    assert client.read_response().status == 413


# -- bodies that arrive -----------------------------------------------------------------------


def test_who_stands_still_gives_way(own_server):
    server = own_server("echo.py", settings=SMALL)
    clients = [begin_body(server, 300_000, 500_000) for _ in range(3)]
    server.pass_by(3)
    for client in clients[1:]:
        client.send(b" " * 20_000)  # these go on

    body = b" " * 200_000 + b"[2]"
    newcomer = server.connect()
    newcomer.send(head(len(body)) + body)

    assert newcomer.read_response().json() == [2]
    assert "dropped while it was arriving, to make room for others" in refusal(clients[0]).message
    for client in clients[1:]:
        client.send(b" " * 179_997 + b"[3]")
        assert client.read_response().json() == [3]
    assert held(server) == 0


def test_trickling_is_no_progress_for_who_holds_much(own_server):
    """A sixteenth of what is held counts; a little each second does not."""
    server = own_server("echo.py", settings=SMALL)
    holders = [begin_body(server, 400_000, 900_000) for _ in range(2)]
    for _ in range(5):
        server.pass_by(1)
        for holder in holders:
            holder.send(b" " * 2000)
    body = b" " * 300_000 + b"[2]"
    newcomer = server.connect()
    newcomer.send(head(len(body)) + body)

    assert newcomer.read_response().json() == [2]
    refusal(holders[0])


def test_while_all_go_on_the_last_one_is_refused(own_server):
    """Were it any other, many large bodies would push each other out and none would arrive."""
    server = own_server("echo.py", settings=SMALL)
    (worker,) = server.workers
    worker.paused = True
    first, second, last = (begin_body(server, 250_000, 400_000) for _ in range(3))
    for client in (first, second):
        client.send(b" " * 149_997 + b"[1]")
    worker.paused = False

    assert [client.read_response().json() for client in (first, second)] == [[1], [1]]
    refusal(last)


def test_a_small_body_finds_room_where_large_ones_fill_it(own_server):
    server = own_server("echo.py", settings=SMALL)
    large = [begin_body(server, 290_000, 900_000) for _ in range(3)]
    refused = begin_body(server, 100_000, 900_000)

    refusal(refused)
    body = b" " * 60_000 + b"[1]"
    assert server.post(body=body).json() == [1]
    assert all(client.silent() for client in large)


def test_what_gave_way_is_let_go_of_at_once(own_server):
    """Also where its refusal waits for the answer to a request before it."""
    server = own_server("echo.py", settings=SMALL)
    (worker,) = server.workers
    worker.paused = True
    client = server.connect()
    client.send(SCORE + head(900_000) + b" " * 800_000)
    server.pass_by(3)
    before = held(server)
    body = b" " * 200_000 + b"[2]"
    newcomer = server.connect()
    newcomer.send(head(len(body)) + body)

    assert (before, held(server)) == (800_003, 200_003 + 3)
    worker.paused = False
    assert client.read_response().status == 200
    refusal(client)
    assert newcomer.read_response().json() == [2]


def test_a_body_behind_two_answers_gives_way_too(own_server):
    """The answer to a request before it is no progress of the body's."""
    server = own_server("echo.py", settings=SMALL)
    for _ in range(26):
        server.pass_by(0.01)
        server.connect().send(SCORE * 2 + head(900_000) + b" " * 40_000)
    server.pass_by(3)

    body = b" " * 200_000 + b"[2]"
    assert server.post(body=body).json() == [2]


@pytest.mark.parametrize(
    "behind",
    [b"", SCORE, head(1, "/nowhere") + b"x", head(9, "/nowhere") + b"x", b"garbage\r\n\r\n",
     head(10**12)],
    ids=["nothing", "a request", "a body for nobody", "half of one", "nonsense", "too large"],
)  # fmt: skip
def test_a_body_that_waits_gives_way_whatever_follows_it(own_server, behind: bytes):
    server = own_server("echo.py", settings={"SCOREHOST_MAX_QUEUE_BYTES": "8M"})
    (worker,) = server.workers
    worker.paused = True
    for _ in range(4):
        server.connect().send(SCORE + head(1_700_000) + b" " * 1_699_999 + b"1" + behind)
    server.pass_by(3)
    other = server.connect()
    other.send(head(1_000_000) + b" " * 999_999 + b"2")
    worker.paused = False

    assert other.read_response().json() == 2


@pytest.mark.parametrize("known", [True, False])
def test_a_body_for_nobody_takes_no_room_while_it_waits(own_server, known: bool):
    server = own_server("echo.py")
    one = head(5000, "/nowhere") + b" " * 5000
    if known:
        server.connect().send(one * 2)
    (worker,) = server.workers
    worker.paused = True
    client = server.connect()
    client.send(SCORE)
    client.send(one)

    assert held(server) == 3
    worker.paused = False
    assert [client.read_response().status for _ in range(2)] == [200, 404]


def test_heads_of_very_many_headers_are_not_kept(own_server):
    """They take thirty times their bytes, and 512 of them would be tens of megabytes."""
    server = own_server("echo.py")
    kept = server.front.context.head_cache._kept
    for number in range(10):
        many = b"".join(b"%02x:\r\n" % each for each in range(256))
        server.connect().send(b"GET /livez?%d HTTP/1.1\r\nHost: a\r\n%b\r\n" % (number, many))
        server.connect().send(request_bytes("GET", f"/livez?few{number}"))

    assert len(kept) == 10
    assert all(b"few" in text for text in kept)


def test_clients_that_leave_while_a_body_waits_leave_nothing(own_server):
    server = own_server("echo.py", settings=SMALL)
    (worker,) = server.workers
    worker.paused = True
    for _ in range(3):
        client = server.connect()
        client.send(SCORE * 3)
        client.reset()
    server.run()

    server.pass_by(10)
    assert server.front.context.budget._arriving.next_to_give_way() is None
    assert held(server) == 0


def test_heads_that_are_parsed_ahead_are_bounded(own_server):
    """One of very many tiny headers takes thirty times its bytes."""
    server = own_server("echo.py")
    (worker,) = server.workers
    worker.paused = True
    many = b"".join(b"%x:\r\n" % number for number in range(1700))
    request = b"GET /score HTTP/1.1\r\nHost: a\r\n" + many + b"\r\n"
    client = server.connect()
    client.send(SCORE + request * 16)

    assert len(client.connection._waiting) == 1
    worker.paused = False
    assert [client.read_response().status for _ in range(17)] == [200] * 17


def test_empty_lines_count_before_a_request_and_not_after_it(own_server):
    server = own_server("echo.py", settings={"SCOREHOST_MAX_HEADER_BYTES": "1000"})
    client = server.connect()
    for _ in range(3):
        client.send(b"\r\n" * 400 + SCORE)
        assert client.read_response().status == 200
    client.send(b"\r\n" * 300)
    client.send(b"\n" * 401)

    assert client.read_response().status == 431


def test_short_chunks_pay_for_no_trailer(own_server):
    server = own_server("echo.py", settings={"SCOREHOST_MAX_HEADER_BYTES": "1000"})
    client = server.connect()
    client.send(b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"1\r\n \r\n" * 5000 + b"1\r\n1\r\n0\r\nX-A: ")
    client.send(b"a" * 2000)

    assert client.read_response().status == 431


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_in_the_middle_leaves_nothing(own_server, how: str):
    server = own_server("echo.py", settings=SMALL)
    client = begin_body(server, 300_000, 900_000)
    assert held(server) == 300_000
    getattr(client, how)()
    server.run()

    assert held(server) == 0
    assert server.front.context.budget._arriving.standing_still() is None
    server.pass_by(10)
    assert server.front.context.budget._arriving.next_to_give_way() is None


def test_where_no_worker_reads_a_body_it_is_not_kept(own_server):
    """A probe with a body is answered however full it is, and its body takes no room."""
    server = own_server("echo.py", settings=SMALL)
    (worker,) = server.workers
    worker.paused = True
    full = request_bytes("POST", "/score", body=b" " * 900_000 + b"[1]")
    waiting = server.connect()
    waiting.send(full)
    before = held(server)

    for path, status in (("/livez", 405), ("/nowhere", 404), ("/", 405)):
        client = server.connect()
        client.send(head(500_000, path) + b" " * 499_999)
        assert held(server) == before
        client.send(b" ")
        assert client.read_response().status == status
    worker.paused = False
    assert waiting.read_response().json() == [1]


def test_tiny_chunks_are_kept_as_bytes_not_as_pieces(own_server):
    server = own_server("echo.py")
    client = server.connect()
    client.send(b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"2\r\n  \r\n" * 20_000)

    body = client.connection._parser._body
    assert len(body._collected) == 40_000 == held(server)
    client.send(b"3\r\n[1]\r\n0\r\n\r\n")
    assert client.read_response().json() == [1]


def test_pipelined_requests_are_parsed_as_they_are_served(own_server):
    """A client that sends thousands at once has a few of them parsed, and all of them answered."""
    server = own_server("echo.py")
    (worker,) = server.workers
    worker.paused = True
    client = server.connect()
    client.send(SCORE)
    client.send(request_bytes("GET", "/livez") * 4000)

    connection = client.connection
    assert len(connection._waiting) < 1000
    worker.paused = False
    assert client.read_response().json() == [1]
    assert {client.read_response().status for _ in range(4000)} == {200}
    client.send(SCORE)
    assert client.read_response().json() == [1]


def test_many_tiny_headers_are_refused_long_before_they_take_much(own_server):
    server = own_server("echo.py", settings={"SCOREHOST_MAX_HEADER_BYTES": "64K"})
    client = server.connect()
    client.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 2000 + b"\r\n")

    assert client.read_response().status == 431


# -- answers that are not taken ---------------------------------------------------------------

LARGE_ANSWER = """
def init(): ...

def run(data):
    return "x" * int(data)
"""


def ask(server: MemoryServer, size: int, version: str = "1.1") -> MemoryConnection:
    """Have a client ask for an answer that it does not read."""
    client = server.connect()
    body = str(size).encode()
    client.send(
        b"POST /score HTTP/%b\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
        % (version.encode(), len(body), body)
    )
    return client


def untaken(server: MemoryServer) -> int:
    return server.front.context.untaken.held


def test_answers_that_nobody_takes_are_bounded(own_server):
    server = own_server(files={"main.py": LARGE_ANSWER}, settings=SETTINGS)
    clients = [ask(server, 3 * MIB) for _ in range(2)]
    server.pass_by(3.5)

    last = [ask(server, 3 * MIB) for _ in range(2)]
    assert untaken(server) <= 8 * MIB
    assert [client.transport.ended for client in clients] == ["reset", "reset"]
    for client in last:
        assert len(client.read_response().body) == 3 * MIB + 2
    assert untaken(server) == 0


@pytest.mark.parametrize(
    ("together", "one", "warned"), [("1M", "1M", True), ("1M", "896K", False), ("8M", "1M", False)]
)
def test_the_log_warns_of_bodies_for_which_there_is_never_room(own_server, together, one, warned):
    settings = {"SCOREHOST_MAX_QUEUE_BYTES": together, "SCOREHOST_MAX_BODY_BYTES": one}

    server = own_server("echo.py", settings=settings)

    assert bool(server.lines("may be refused with 503")) is warned


def test_while_all_take_theirs_another_large_one_is_refused(own_server):
    server = own_server(files={"main.py": LARGE_ANSWER}, settings=SETTINGS)
    clients = [ask(server, 3 * MIB) for _ in range(2)]

    refused = ask(server, 3 * MIB)
    answer = refused.read_response()
    assert answer.status == 503
    assert "SCOREHOST_MAX_UNTAKEN_BYTES" in answer.message
    assert answer.header("Retry-After") == "2"
    assert [len(client.read_response().body) for client in clients] == [3 * MIB + 2] * 2


def test_one_answer_alone_may_be_larger_than_the_limit(own_server):
    server = own_server(files={"main.py": LARGE_ANSWER}, settings=SETTINGS)

    assert len(server.post(json=9 * MIB).body) == 9 * MIB + 2


def test_many_answers_of_less_than_a_megabyte_are_bounded_too(own_server):
    server = own_server(files={"main.py": LARGE_ANSWER}, settings=SETTINGS)
    clients = []
    for _ in range(30):
        client = server.connect()
        client.transport.room = 0  # the client's kernel takes nothing
        clients.append(client)
        client.send(request_bytes("POST", "/score", body=b"800000"))
        server.pass_by(0.1)

    assert 7 * MIB < untaken(server) <= 8 * MIB
    assert sum(client.transport.ended == "reset" for client in clients) == 20


def test_a_reader_that_goes_on_is_not_cut_off_for_others(own_server):
    server = own_server(files={"main.py": LARGE_ANSWER}, settings=SETTINGS)
    steady, still = ask(server, 4 * MIB), ask(server, 3 * MIB)
    for _ in range(4):
        server.pass_by(1)
        steady.transport.take(512 << 10)

    third = ask(server, 2 * MIB)
    assert (steady.transport.ended, still.transport.ended) == ("", "reset")
    assert third.read_response().status == 200


@pytest.mark.parametrize("size", [800_000, 3 * MIB])
def test_a_reader_that_trickles_is_reset(own_server, size: int):
    """Eight kilobytes in each SCOREHOST_BODY_TIMEOUT are the least."""
    server = own_server(files={"main.py": LARGE_ANSWER}, settings={"SCOREHOST_BODY_TIMEOUT": "5"})
    client = server.connect()
    client.transport.room = 100_000
    client.send(request_bytes("POST", "/score", body=str(size).encode()))
    for _ in range(15):
        assert client.transport.ended == ""
        server.pass_by(1)
        if client.transport.ended:
            break
        assert client.transport.take(1000)

    assert client.transport.ended == "reset"
    assert untaken(server) == 0


STREAM = """
def init(): ...

def run(data):
    for _ in range(int(data)):
        yield b"x" * 100_000
"""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_stream_that_is_not_taken_is_reset_not_ended(own_server, version: str):
    """With HTTP/1.0 a clean end would say that the answer is complete (RFC 9112, 8)."""
    server = own_server(files={"main.py": STREAM}, settings={"SCOREHOST_BODY_TIMEOUT": "5"})
    client = ask(server, 100, version)
    server.pass_by(12)

    assert client.transport.ended == "reset"
    assert server.post(json=1).status == 200


def test_the_last_answer_of_a_connection_that_is_not_taken_is_reset(own_server):
    """All of the stream has been made, and the connection waits for its client to take it."""
    server = own_server(files={"main.py": STREAM}, settings={"SCOREHOST_BODY_TIMEOUT": "5"})
    client = server.connect()
    client.transport.room = 0
    client.send(b"POST /score HTTP/1.0\r\nContent-Length: 1\r\n\r\n1")
    server.pass_by(1)
    assert client.transport.ended == ""
    server.pass_by(15)

    assert client.transport.ended == "reset"


def test_the_end_of_the_server_cuts_a_stream_off_as_incomplete(own_server):
    server = own_server(files={"main.py": STREAM})
    unread = ask(server, 1000, "1.0")
    idle = server.connect()
    server.front.connections.end()
    server.run()
    server.front.connections.cut()

    assert unread.transport.ended == "reset"
    assert idle.at_end()


def test_numbers_of_what_is_held(own_server):
    server = own_server(files={"main.py": LARGE_ANSWER}, settings=SETTINGS)
    ask(server, 3 * MIB)
    begin_body(server, 10_000, 20_000)
    text = server.get("/metrics").body.decode()

    assert "scorehost_queue_bytes 10007.0" in text
    assert "scorehost_untaken_bytes 3.14573e+06" in text
    assert json.loads(server.get("/readyz").body)["state"] == "ready"


@pytest.mark.parametrize(
    "flood",
    [b"\r\n" * 100_000, request_bytes("GET", "/livez") * 4000, b"GET /no HTTP/1.0\r\n\r\n"],
    ids=["empty lines", "probes", "nothing, once"],
)
def test_a_flood_on_one_connection_is_taken_by_turns(own_server, flood: bytes):
    """However much comes at once, no turn of the loop takes more than a few requests of it."""
    server = own_server("echo.py")
    client = server.connect()
    served: list[int] = []
    serve = server.front.context.service.serve
    server.front.context.service.serve = lambda exchange: (served.append(turn), serve(exchange))
    client.transport.feed(flood)
    turn = 0
    while server.loop.step():
        turn += 1

    assert max([served.count(each) for each in set(served)], default=0) <= 64
    other = server.connect()
    other.send(SCORE)
    assert other.read_response().json() == [1]


def test_a_body_behind_an_answer_that_is_not_taken_gives_way(own_server):
    """It is whole, and nobody will score it before its sender takes what it has asked for."""
    settings = SMALL | {"SCOREHOST_MAX_UNTAKEN_BYTES": "100M"}
    server = own_server(files={"main.py": LARGE_ANSWER}, settings=settings)
    pipelining = ask(server, 3 * MIB)
    pipelining.send(head(800_000) + b" " * 799_999 + b"1")
    before = held(server)
    server.pass_by(3)
    body = b" " * 300_000 + b"7"

    assert server.post(body=body).body == b'"xxxxxxx"'
    assert before >= 800_000 > held(server)
    assert len(pipelining.read_response().body) == 3 * MIB + 2
    assert pipelining.read_response().status == 503


def test_bodies_that_are_served_in_turn_are_kept_to_the_end(own_server):
    server = own_server("echo.py", settings=SMALL)
    (worker,) = server.workers
    worker.paused = True
    client = server.connect()
    one = request_bytes("POST", "/score", body=b" " * 100_000 + b"[1]")
    client.send(one * 3)
    server.pass_by(3)
    worker.paused = False

    assert [client.read_response().json() for _ in range(3)] == [[1]] * 3
    assert held(server) == 0
    assert server.front.context.budget._arriving.next_to_give_way() is None


@pytest.mark.parametrize("repeat", [1, 30])
def test_a_long_run_of_returns_in_a_chunk_costs_little(own_server, repeat: int):
    """What stands before the next head is searched once, however it looks."""
    server = own_server("echo.py")
    client = server.connect()
    start = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"\r" * 7850 + b"x"
    client.send(start)
    began = time.process_time()
    for _ in range(repeat):
        client.send(b"%x\r\n%b\r\n0\r\n\r\n%b" % (len(chunk), chunk, start))
    for _ in range(repeat):
        assert client.read_response().status in (200, 400, 500)

    assert time.process_time() - began < 1.0 + 0.02 * repeat  # it was 0.1 s for each


def test_a_client_that_leaves_with_several_requests_leaves_none_of_them(own_server):
    """One whose answer is on its way, one that waits behind it, and one that arrives."""
    server = own_server(files={"main.py": LARGE_ANSWER})
    client = ask(server, 3 * MIB)
    client.send(request_bytes("POST", "/score", body=b" " * 60_000 + b"1"))
    client.send(head(900_000) + b" " * 100_000)
    assert held(server) > 60_000
    client.reset()
    server.run()

    assert (held(server), untaken(server)) == (0, 0)
    assert server.front.dispatcher.waiting == 0
    assert len(server.lines("POST /score 499")) >= 2
