"""Refusing at a bounded pace: in turn, within a bounded time, and never twice."""

from __future__ import annotations

import pytest

from scorehost.errors import Overloaded
from scorehost.front.http.exchange import ARRIVING, DONE, WAITING, WRITTEN, Exchange
from scorehost.front.refusals import EACH_TICK, LONGEST, TICK, Refusals
from support.client import request_bytes
from support.front_parts import FakeClock, exchange
from support.memory import MemoryConnection, MemoryServer

SCORE = request_bytes("POST", "/score", body=b"[1]")
ERROR = Overloaded("full", 1.0)


class Scene:
    """Refusals, and when each of them went out."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sent: list[tuple[float, Exchange]] = []
        self.refusals = Refusals(self.clock, self._answer, self._admit)
        self.room = 0

    def _answer(self, refused: Exchange, error: Exception) -> None:
        assert error is ERROR
        assert refused.state != DONE, "it was answered before"
        refused.state = DONE
        self.sent.append((self.clock.now(), refused))

    def _admit(self, asked: Exchange) -> bool:
        self.room -= 1
        return self.room >= 0

    def refuse(self, count: int) -> list[Exchange]:
        refused = [exchange() for _ in range(count)]
        for each in refused:
            self.refusals.refuse(each, ERROR)
        return refused


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_few_are_refused_at_once(scene: Scene):
    refused = scene.refuse(EACH_TICK)

    assert [each for _, each in scene.sent] == refused


def test_more_wait_for_their_turn_and_keep_their_order(scene: Scene):
    refused = scene.refuse(3 * EACH_TICK)
    assert len(scene.sent) == EACH_TICK

    scene.clock.pass_by(TICK)
    assert len(scene.sent) == 2 * EACH_TICK
    late = scene.refuse(1)
    scene.clock.pass_by(TICK)
    assert [each for _, each in scene.sent] == refused
    scene.clock.pass_by(TICK)
    assert scene.sent[-1][1] is late[0]


def test_the_pace_is_the_same_however_they_come(scene: Scene):
    start = scene.clock.now()
    for _ in range(100):
        scene.refuse(EACH_TICK * 2 - 5)
        scene.clock.pass_by(TICK / 2)

    seconds = scene.clock.now() - start
    assert len(scene.sent) == pytest.approx(EACH_TICK * seconds / TICK, rel=0.05)


@pytest.mark.parametrize("count", [100, 1000, 20_000])
def test_each_is_refused_within_a_bounded_time(scene: Scene, count: int):
    start = scene.clock.now()
    scene.refuse(count)
    for _ in range(round(2 * LONGEST / TICK)):
        scene.clock.pass_by(TICK)

    assert len(scene.sent) == count
    assert scene.sent[0][0] == start
    assert scene.sent[-1][0] <= start + LONGEST + 2 * TICK
    most = max([sum(when == at for when, _ in scene.sent) for at, _ in scene.sent[:: count // 50]])
    assert most <= max(EACH_TICK, 1.1 * count * TICK / LONGEST)


def test_whose_client_has_left_costs_no_turn(scene: Scene):
    refused = scene.refuse(4 * EACH_TICK)
    for each in refused[EACH_TICK : 3 * EACH_TICK]:
        each.state = DONE
    scene.clock.pass_by(TICK)

    assert [each for _, each in scene.sent] == refused[:EACH_TICK] + refused[3 * EACH_TICK :]


@pytest.mark.parametrize(
    ("state", "error"), [(WAITING, None), (WRITTEN, None), (ARRIVING, ERROR)],
    ids=["waited too long", "its answer has no room", "its body has no room"],
)  # fmt: skip
def test_what_somebody_has_had_is_not_taken_in_again(scene: Scene, state: int, error: Overloaded):
    scene.refuse(EACH_TICK)
    late = exchange()
    late.state, late.error = state, error
    scene.room = 1
    scene.refusals.refuse(late, ERROR)
    scene.clock.pass_by(TICK)

    assert scene.sent[-1][1] is late
    assert scene.room == 1


def test_nothing_ticks_while_nothing_is_refused(scene: Scene):
    scene.refuse(1)
    scene.clock.pass_by(1)
    assert not scene.refusals._ticking
    scene.refuse(EACH_TICK)

    assert len(scene.sent) == EACH_TICK + 1


# -- in a server ------------------------------------------------------------------------------


@pytest.fixture
def full(own_server) -> tuple[MemoryServer, list[MemoryConnection]]:
    """A server whose worker is busy and whose queue is full."""
    server = own_server("echo.py", settings={"SCOREHOST_MAX_QUEUE_LENGTH": "2"})
    (worker,) = server.workers
    worker.paused = True
    accepted = [server.connect() for _ in range(3)]
    for client in accepted:
        client.send(SCORE)
    return server, accepted


def refused_at_once(server: MemoryServer, count: int) -> list[MemoryConnection]:
    clients = [server.connect() for _ in range(count)]
    for client in clients:
        client.send(SCORE)
    return clients


def test_who_is_refused_late_is_told_the_same(full):
    server, _ = full
    clients = refused_at_once(server, 3 * EACH_TICK)
    assert [client.silent() for client in clients].count(True) == 2 * EACH_TICK

    server.pass_by(1)
    answers = [client.read_response() for client in clients]
    assert {answer.status for answer in answers} == {503}
    assert {answer.header("Retry-After") for answer in answers} == {"1"}
    assert all("SCOREHOST_MAX_QUEUE_LENGTH" in answer.message for answer in answers)
    clients[-1].send(request_bytes("GET", "/livez"))
    assert clients[-1].read_response().status == 200


def test_work_goes_on_and_probes_are_answered_meanwhile(full):
    server, accepted = full
    refused = refused_at_once(server, 500)

    (worker,) = server.workers
    worker.paused = False
    assert [client.read_response().status for client in accepted] == [200] * 3
    assert server.get("/livez").status == 200
    assert refused[-1].silent()
    assert server.score([2]) == [2]


def test_who_finds_room_at_its_turn_is_served_after_all(full):
    server, accepted = full
    body = b" " * 60_000 + b"[7]"  # in a memory file
    clients = refused_at_once(server, EACH_TICK) + [server.connect() for _ in range(2)]
    for client in clients[-2:]:
        client.send(request_bytes("POST", "/score", body=body))
    (worker,) = server.workers
    worker.paused = False
    assert [client.read_response().status for client in accepted] == [200] * 3

    server.pass_by(2 * TICK)
    assert [client.read_response().status for client in clients[:-2]] == [503] * EACH_TICK
    assert [client.read_response().json() for client in clients[-2:]] == [[7], [7]]
    assert server.front.context.budget.held == 0


def test_who_finds_none_is_refused(full):
    server, _ = full
    clients = refused_at_once(server, 3 * EACH_TICK)
    server.pass_by(1)

    assert {client.read_response().status for client in clients} == {503}
    assert server.front.dispatcher.waiting == 2


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_may_leave_while_it_waits(full, leave: str):
    server, _ = full
    clients = refused_at_once(server, 3 * EACH_TICK)
    getattr(clients[-1], leave)()
    server.pass_by(1)

    assert server.lines("499 ") if leave == "reset" else True
    assert {client.read_response().status for client in clients[:-1]} == {503}


def test_the_end_of_the_server_refuses_those_that_wait(full):
    server, _ = full
    clients = refused_at_once(server, 3 * EACH_TICK)
    server.front.stop(at_once=True, ended=lambda: None)

    assert {client.read_response().status for client in clients} == {503}


def test_what_waited_too_long_in_the_queue_is_refused_in_turn(own_server):
    settings = {"SCOREHOST_MAX_QUEUE_WAIT_MS": "500"}
    server = own_server("echo.py", settings=settings)
    (worker,) = server.workers
    worker.paused = True
    clients = refused_at_once(server, 5 * EACH_TICK)
    server.pass_by(0.501)
    waiting = [client for client in clients if client.silent()]
    assert len(waiting) > 3 * EACH_TICK
    waiting[-1].reset()

    server.pass_by(1)
    worker.paused = False
    assert {client.read_response().status for client in waiting[:-1]} <= {200, 503}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (request_bytes("GET", "/swagger.json"), 503),
        (request_bytes("DELETE", "/score"), 405),
        (request_bytes("POST", "/score", body=b"[1]"), 200),
    ],
    ids=["another route", "another method", "a request to score"],
)
def test_only_requests_to_score_are_scored_after_all(own_server, request_: bytes, status: int):
    server = own_server("echo.py", workers=0)
    refused_at_once(server, EACH_TICK)
    late = server.connect()
    late.send(request_)
    server.add_worker(script=server._load())
    server.pass_by(2 * TICK)

    answer = late.read_response()
    assert answer.status == status
    assert server.workers[0].handle.scored == (status == 200)


def test_a_server_that_is_not_ready_refuses_in_turn_too(own_server):
    server = own_server("echo.py", workers=0)
    server.front.pool.lifecycle.failed = True
    clients = refused_at_once(server, 2 * EACH_TICK)

    assert clients[-1].silent()
    server.pass_by(TICK * 2)
    assert {client.read_response().status for client in clients} == {503}


@pytest.mark.parametrize("path", ["/nowhere", "/livez"])
def test_other_answers_wait_for_nothing(full, path: str):
    server, _ = full
    refused_at_once(server, 3 * EACH_TICK)

    for _ in range(3 * EACH_TICK):
        assert server.get(path).status in (200, 404)
