"""Answers of the front's own that take it long: many who ask for them cost no more than a few."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

import pytest

from scorehost.front import endpoints
from support.client import request_bytes
from support.memory import MemoryServer

METRICS = request_bytes("GET", "/metrics")
DOCS = request_bytes("GET", "/docs")
COST = 0.002


def test_metrics_take_a_share_of_the_time_and_no_more(
    own_server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks in the meantime is answered with the next ones, and those are fresh."""
    server: MemoryServer = own_server("echo.py")
    assert server.get("/metrics").status == 200
    made = 0
    make = endpoints.exposition

    def costly(*parts: Any) -> tuple[bytes, str]:
        nonlocal made
        made += 1
        server.loop.now += COST
        return make(*parts)

    monkeypatch.setattr(endpoints, "exposition", costly)
    began = server.loop.now
    clients = [server.connect() for _ in range(50)]
    for client in clients:
        client.send(METRICS * 16)
    server.score([1])
    for _ in range(200):
        server.pass_by(COST)

    seconds = server.loop.now - began
    answers = [[client.read_response() for _ in range(16)] for client in clients]
    assert {each.status for few in answers for each in few} == {200}
    assert 16 <= made <= seconds / (COST * endpoints._METRICS_PAUSE) + 2
    assert b'route="score",status="200"} 1.0' in answers[-1][-1].body


def test_who_asked_for_metrics_and_left_is_forgotten(own_server) -> None:
    server: MemoryServer = own_server("echo.py")
    held = _hold_background(server)
    for leaves in (True, False):
        client = server.connect()
        client.send(METRICS)
        if leaves:
            client.reset()
            server.run()
    assert len(held) == 1

    held.pop()()
    assert client.read_response().status == 200


def test_metrics_that_cannot_be_shown_are_an_error(
    own_server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: MemoryServer = own_server("echo.py")
    assert server.get("/metrics").status == 200
    server.pass_by(1)
    with monkeypatch.context() as broken:
        broken.setattr(endpoints, "exposition", lambda *_: 1 / 0)
        assert server.get("/metrics").status == 500
    assert server.lines("/metrics cannot be shown: ZeroDivisionError")

    assert server.get("/metrics").status == 200


@pytest.mark.parametrize(("length", "status"), [(1000, 200), (1001, 414), (60_000, 414)])
def test_a_query_is_parsed_up_to_a_bound(own_server, length: int, status: int) -> None:
    """One of 64 KiB takes thirty milliseconds, a hundred times as long as its head."""
    server: MemoryServer = own_server("echo.py")
    query = "version=3&" + "a&" * length
    answer = server.get(f"/swagger.json?{query[:length]}")

    assert answer.status == status
    if status == 414:
        assert answer.message == f"The query has {length} bytes; at most 1000 are accepted here."


def test_a_path_is_decoded_up_to_a_bound(own_server) -> None:
    server: MemoryServer = own_server("echo.py")

    assert server.get("/" + "%6C%69%76%65%7A").status == 200
    assert server.get("/" * 900 + "%6C%69%76%65%7A").status == 200
    assert server.get("/" * 1000 + "%6C%69%76%65%7A").status == 404
    assert server.get("/" * 1000 + "livez").status == 200


def test_pages_wait_in_a_bounded_number(own_server) -> None:
    server: MemoryServer = own_server("echo.py")
    held = _hold_background(server)
    clients = [server.connect() for _ in range(20)]
    for client in clients:
        client.send(DOCS)
    server.pass_by(1)
    refused = [client.read_response() for client in clients[16:]]
    assert [each.status for each in refused] == [503] * 4
    assert all(each.header("Retry-After") for each in refused)

    while held:
        held.pop()()
    assert [client.read_response().status for client in clients[:16]] == [200] * 16
    late = server.connect()
    late.send(DOCS)
    held.pop()()
    assert late.read_response().status == 200


def _hold_background(server: MemoryServer) -> list[Callable[[], object]]:
    """Have the work of the other thread wait until it is called."""
    held: list[Callable[[], object]] = []

    class Waiting:
        def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
            done: Future[Any] = Future()
            held.append(lambda: (done.set_result(work(*arguments)), server.run()))
            return done

        def shutdown(self, **_: Any) -> None: ...

    server.front._background._executor = cast(Any, Waiting())
    return held
