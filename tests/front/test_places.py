"""How many connections there may be, and which of them makes room for another."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Any

import pytest

from scorehost.front.descriptors import (
    most_connections,
    raise_descriptor_limit,
    spare_descriptors,
)
from scorehost.front.http.connections import HEALTH_CONNECTIONS
from support.client import request_bytes
from support.memory import MemoryConnection, MemoryServer

SCORE = request_bytes("POST", "/score", body=b"[1]")
HEAD, BODY = SCORE.split(b"\r\n\r\n")
HEAD += b"\r\n\r\n"


@pytest.fixture
def server(own_server) -> MemoryServer:
    """A server with places for eight."""
    return own_server("echo.py", settings={"SCOREHOST_MAX_CONNECTIONS": "8"})


def client(server: MemoryServer, *sent: bytes) -> MemoryConnection:
    """Connect a while after the one before, send something, and take the answer to a request."""
    server.pass_by(0.01)
    connection = server.connect()
    for piece in sent:
        connection.send(piece)
        if piece == SCORE:
            assert connection.read_response().status == 200
    return connection


def are_open(connections: list[MemoryConnection]) -> list[bool]:
    return [not each.transport.ended for each in connections]


def test_a_burst_leaves_as_many_as_there_may_be(server: MemoryServer):
    burst = [server.connect() for _ in range(500)]
    server.run()

    assert are_open(burst) == [False] * 492 + [True] * 8
    assert len(server.front.connections) == 8
    burst[-1].send(SCORE)
    assert burst[-1].read_response().status == 200


@pytest.mark.parametrize("sent", [b"POST", HEAD[:-2]], ids=["request line", "headers"])
def test_who_is_in_the_middle_of_the_headers_has_no_place_for_good(
    server: MemoryServer, sent: bytes
):
    burst = [client(server, sent) for _ in range(100)]
    server.run()

    assert are_open(burst) == [False] * 92 + [True] * 8
    burst[-1].send(SCORE[len(sent) :])
    assert burst[-1].read_response().status == 200


@pytest.mark.parametrize("sent", [(), (HEAD[:20],), (HEAD, BODY[:1])])
def test_a_client_that_was_served_keeps_its_place_in_a_burst(own_server, sent: tuple[bytes, ...]):
    """Newcomers that send no whole request take a quarter of the places from others, no more."""
    server = own_server("echo.py", settings={"SCOREHOST_MAX_CONNECTIONS": "40"})
    served = [client(server, SCORE) for _ in range(29)]
    for _ in range(200):
        client(server, *sent)

    assert are_open(served) == [True] * 29
    for each in served:
        each.send(SCORE)
        assert each.read_response().status == 200


def test_where_all_were_served_the_longest_idle_makes_room(server: MemoryServer):
    served = [client(server, SCORE) for _ in range(8)]
    served[0].send(SCORE)
    assert served[0].read_response().status == 200

    newcomer = client(server, SCORE)
    assert are_open(served) == [True, False, *[True] * 6]
    assert are_open([newcomer]) == [True]


def test_who_stands_still_in_a_body_makes_room_before_an_idle_one(server: MemoryServer):
    sends = client(server, HEAD, BODY[:1])
    idle = [client(server, SCORE) for _ in range(7)]
    server.pass_by(3)
    client(server, SCORE)

    assert are_open([sends, *idle]) == [False, *[True] * 7]


def test_who_has_just_sent_a_part_of_a_body_keeps_its_place(server: MemoryServer):
    idle = [client(server, SCORE) for _ in range(7)]
    sends = client(server, HEAD, BODY[:1])
    client(server, SCORE)

    assert are_open([sends, *idle]) == [True, False, *[True] * 6]
    sends.send(BODY[1:])
    assert sends.read_response().status == 200


def test_a_request_that_is_being_scored_is_never_cut_off(server: MemoryServer):
    (worker,) = server.workers
    worker.paused = True
    scored = [client(server, HEAD, BODY) for _ in range(8)]
    newcomers = [client(server) for _ in range(3)]
    server.run()

    assert are_open(newcomers) == [False] * 3
    worker.paused = False
    assert [each.read_response().status for each in scored] == [200] * 8


def test_who_takes_an_answer_too_slowly_makes_room_in_the_end(own_server):
    script = "def init(): ...\n\n\ndef run(data):\n    return 'x' * int(data)\n"
    server = own_server(files={"main.py": script}, settings={"SCOREHOST_MAX_CONNECTIONS": "4"})
    ask = request_bytes("POST", "/score", body=b"3000000")
    readers = [client(server, ask) for _ in range(4)]
    client(server)
    server.run()
    assert are_open(readers) == [True] * 4  # all of them have just begun
    for _ in range(4):
        server.pass_by(1)
        for each in readers[1:]:
            each.transport.take(300_000)
        readers[0].transport.take(1000)

    newcomer = client(server, request_bytes("POST", "/score", body=b"1"))
    assert newcomer.read_response().status == 200
    assert [each.transport.ended for each in readers] == ["reset", "", "", ""]


def test_a_refused_client_that_goes_on_sending_makes_room(server: MemoryServer):
    refused = [client(server, b"NONSENSE\r\n\r\n") for _ in range(8)]
    server.pass_by(0.5)
    client(server, SCORE)

    assert sum(are_open(refused)) <= 7


def test_who_does_not_take_the_end_of_a_last_answer_makes_room(server: MemoryServer):
    """Less than the transport keeps before it pauses: no other bound would see it."""
    last = request_bytes("POST", "/score", headers=[("Connection", "close")], body=b"[1]")
    rude = [server.connect() for _ in range(8)]
    for each in rude:
        each.transport.room = 0
        each.send(last)
    server.pass_by(3)

    for _ in range(8):
        client(server, SCORE)


def test_where_all_are_served_nobody_is_looked_for_at_each_newcomer(server: MemoryServer):
    (worker,) = server.workers
    worker.paused = True
    served = [server.connect() for _ in range(8)]
    for each in served:
        each.send(SCORE)
    looked = 0

    class Counted(set[Any]):
        def __iter__(self) -> Iterator[Any]:
            nonlocal looked
            looked += 1
            return super().__iter__()

    places = server.front.connections._scoring
    places.open = Counted(places.open)
    newcomers = [server.connect() for _ in range(50)]
    server.run()

    assert looked == 1
    assert are_open(newcomers) == [False] * 50
    worker.paused = False
    server.pass_by(0.2)
    client(server, SCORE)


def test_the_health_port_has_places_of_its_own(server: MemoryServer):
    probes = [server.connect(health_only=True) for _ in range(HEALTH_CONNECTIONS + 20)]
    scored = [client(server, SCORE) for _ in range(8)]
    server.run()

    assert are_open(probes) == [False] * 20 + [True] * HEALTH_CONNECTIONS
    assert are_open(scored) == [True] * 8
    probes[-1].send(request_bytes("GET", "/livez"))
    assert probes[-1].read_response().status == 200


def test_a_place_that_became_free_is_given_away_again(server: MemoryServer):
    for _ in range(5):
        for each in [client(server, SCORE) for _ in range(8)]:
            each.close()
    assert len(server.front.connections) == 0


# -- descriptors ------------------------------------------------------------------------------


@pytest.fixture
def limit():
    """Set the limit on descriptors for a while."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_of_descriptors_is_raised_once(limit):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit(min(hard, 500))

    assert raise_descriptor_limit() == (min(hard, 500), hard)
    assert raise_descriptor_limit() is None


@pytest.mark.parametrize(
    ("descriptors", "spare", "connections"),
    [(4096, 3840, 2880), (1024, 768, 576), (256, 128, 96), (30, 15, 16)],
)
def test_clients_leave_descriptors_to_the_server(
    limit, descriptors: int, spare: int, connections: int
):
    limit(descriptors)

    assert (spare_descriptors(), most_connections()) == (spare, connections)


def test_large_bodies_leave_descriptors_to_the_server(own_server, monkeypatch):
    """Who stands still gives way for another large body; small ones need no descriptor."""
    server = own_server("echo.py")
    large = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + b" " * 60_000
    arriving = [client(server, large) for _ in range(3)]
    top = max(each.connection._parser.exchange.body_file for each in arriving)
    monkeypatch.setattr("scorehost.front.http.byte_budget.spare_descriptors", lambda: top + 1)
    server.pass_by(3)

    another = client(server, large + b" " * 29_997 + b"[1]")
    assert another.read_response().json() == [1]
    assert arriving[0].read_response().status == 503
    arriving[1].send(b" " * 29_997 + b"[2]")
    assert arriving[1].read_response().json() == [2]
