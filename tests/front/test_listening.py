"""Accepting connections, and closing so that none that came in is lost, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import re
import resource
import socket
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop
from httptools import HttpRequestParser

from scorehost.front.descriptors import most_connections
from scorehost.front.http.connection import IDLE, SERVED, Connection
from scorehost.front.http.connections import Connections
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.parser import Parser
from scorehost.front.http.syn_filter import turn_away
from support.loop_front import exchange, loop_front


def test_accepts_and_answers(tmp_path: Path) -> None:
    async def scene() -> None:
        with loop_front(tmp_path) as served:
            served.listening.start()
            assert await served.get("/livez") == (200, b'{"state":"live"}')

    asyncio.run(scene())


def test_the_health_port_answers_probes_only(tmp_path: Path) -> None:
    async def scene() -> None:
        with loop_front(tmp_path, health_port=True) as served:
            served.listening.start()
            assert (await served.get("/livez", port=1))[0] == 200
            status, body = await served.get("/swagger.json", port=1)
            assert (status, b"This port answers only probes" in body) == (404, True)
            assert (await served.get("/swagger.json", port=0))[0] == 503

    asyncio.run(scene())


def test_closing_accepts_the_backlog_first(tmp_path: Path) -> None:
    """Who is connected when the server closes is answered; who comes later is refused."""

    async def scene() -> None:
        with loop_front(tmp_path) as served:
            clients = [
                await asyncio.open_connection("127.0.0.1", served.ports[0]) for _ in range(5)
            ]
            served.listening.start()
            await served.listening.close()
            answers = [await exchange(*each, "/livez", "Connection: close\r\n") for each in clients]
            assert [status for status, _ in answers] == [200] * 5
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", served.ports[0])

    asyncio.run(scene())


def test_nobody_is_turned_away_while_another_process_goes_on(tmp_path: Path) -> None:
    """A front that ends alone closes its copies; the sockets go on accepting for the next one."""

    async def scene() -> None:
        with loop_front(tmp_path) as served:
            held = served.sockets[0].dup()
            served.others_hold_the_sockets = True
            served.listening.start()
            await served.listening.close()
            newcomer = socket.create_connection(("127.0.0.1", served.ports[0]), timeout=30)
            held.settimeout(30)
            accepted, _ = held.accept()
            for each in (accepted, newcomer, held):
                each.close()

    asyncio.run(scene())


def test_without_descriptors_it_waits_and_accepts_again(tmp_path: Path) -> None:
    """A connection that finds no descriptor is accepted when there is one again."""

    async def scene() -> None:
        with loop_front(tmp_path) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.ports[0])
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            lowest = served.sockets[0].dup()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + 1, hard))
            spare = []
            try:
                with suppress(OSError):
                    while True:  # fill the gaps below the limit
                        spare.append(served.sockets[0].dup())
                served.listening.start()
                await asyncio.sleep(0.05)
                assert not len(served.front.connections)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for each in [*spare, lowest]:
                    each.close()
            status, _ = await exchange(reader, writer, "/livez", "Connection: close\r\n")
            assert status == 200
            assert "a connection could not be accepted: [Errno 24]" in served.read_log()

    asyncio.run(scene())


def test_a_client_that_left_in_the_backlog_does_no_harm(tmp_path: Path) -> None:
    async def scene() -> None:
        with loop_front(tmp_path) as served:
            gone = socket.create_connection(("127.0.0.1", served.ports[0]))
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()  # resets it
            served.listening.start()
            assert (await served.get("/livez"))[0] == 200

    asyncio.run(scene())


HEAD = b"POST /score HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SENT = {
    "nothing": b"",
    "half a head": HEAD[:30],
    "half a body": HEAD + b"Content-Length: 9\r\n\r\n[1",
    "a file": HEAD + b"Content-Length: 900000\r\n\r\n" + b" " * 300_000,
    "chunks": CHUNKED + b"2\r\n[1\r\n",
    "requests": b"GET /livez HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    * 3,
    "nonsense": b"no request\r\n\r\n",
    "two hosts": HEAD + b"Host: b\r\n\r\n",
    "too large": HEAD + b"Content-Length: 99999999999999\r\n\r\n[",
    "no chunk": CHUNKED + b"x\r\n",
}


@pytest.mark.parametrize("leaves", ["closes", "is dropped"])
@pytest.mark.parametrize("sent", SENT)
def test_connections_that_are_lost_leave_nothing_to_the_garbage_collection(
    tmp_path: Path, sent: str, leaves: str
) -> None:
    """A collection stops the loop for tens of milliseconds after thousands of connections."""

    def left() -> list[object]:
        kinds = (Connection, Exchange, Parser, HttpRequestParser)
        return [each for each in gc.get_objects() if isinstance(each, kinds)]

    async def scene() -> None:
        with loop_front(tmp_path) as served:
            served.listening.start()
            connections = served.front.connections
            clients = [
                socket.create_connection(("127.0.0.1", served.ports[0]), timeout=30)
                for _ in range(5)
            ]
            for each in clients:
                each.sendall(SENT[sent])
            while len(connections) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0)
            if leaves == "is dropped":
                for member in connections:
                    member.drop()
                del member
            for each in clients:
                each.close()
            await asyncio.wait_for(none_left(connections), 10)

    async def none_left(connections: Connections) -> None:
        while len(connections) or left():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    gc.collect()
    gc.disable()
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(scene())
    finally:
        loop.close()
        gc.enable()


@pytest.mark.parametrize("target", ["/livez", "/nowhere"])
@pytest.mark.parametrize("length", [200, 17_000, 60_000])
def test_one_client_that_sends_much_is_read_by_turns(
    tmp_path: Path, target: str, length: int
) -> None:
    """The loop would read megabytes of one client before it looks at others."""
    served_in: list[int] = []

    async def scene() -> None:
        with loop_front(tmp_path) as served:
            served.listening.start()
            turn = 0

            def count_turns() -> None:
                nonlocal turn
                turn += 1
                loop.call_soon(count_turns)

            def serve(request: Exchange) -> None:
                served_in.append(turn)
                real(request)

            loop = asyncio.get_running_loop()
            service = served.front.context.service
            real, service.serve = service.serve, serve  # type: ignore[method-assign]
            reader, writer = await asyncio.open_connection("127.0.0.1", served.ports[0])
            line = f"GET {target}?{'a' * length} HTTP/1.1\r\n"
            one = f"{line}Host: a\r\n\r\n".encode()
            last = f"{line}Host: a\r\nConnection: close\r\n\r\n".encode()
            many = max(16, (1 << 20) // len(one))
            loop.call_soon(count_turns)
            writer.write(one * (many - 1) + last)
            await asyncio.wait_for(reader.read(), 60)
            writer.close()
            await writer.wait_closed()
            assert len(served_in) == many

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(scene())
    finally:
        loop.close()
    most = max(served_in.count(turn) for turn in set(served_in))
    assert most <= (64 if length < 1000 else 4)


def test_who_is_turned_away_leaves_nothing_to_the_garbage_collection(tmp_path: Path) -> None:
    def left() -> list[object]:
        kinds = (Connection, Parser, HttpRequestParser)
        return [each for each in gc.get_objects() if isinstance(each, kinds)]

    async def scene() -> None:
        settings = {"SCOREHOST_MAX_CONNECTIONS": "1"}
        with loop_front(tmp_path, settings) as served:
            served.listening.start()
            _, writer = await asyncio.open_connection("127.0.0.1", served.ports[0])
            connections = served.front.connections
            while not len(connections):  # noqa: ASYNC110
                await asyncio.sleep(0)
            (busy,) = connections
            connections.has_arrived(busy)
            busy.state = SERVED  # type: ignore[attr-defined]
            before = len(left())
            for _ in range(20):
                _, turned_away = await asyncio.open_connection("127.0.0.1", served.ports[0])
                turned_away.close()
            assert list(connections) == [busy]
            while len(left()) > before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            busy.state = IDLE  # type: ignore[attr-defined]
            writer.close()

    gc.collect()
    gc.disable()
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(scene(), 30))
    finally:
        loop.close()
        gc.enable()


def test_the_log_says_how_many_made_room(tmp_path: Path) -> None:
    async def scene() -> None:
        with loop_front(tmp_path, {"SCOREHOST_MAX_CONNECTIONS": "3"}) as served:
            served.listening.start()
            clients = [
                await asyncio.open_connection("127.0.0.1", served.ports[0]) for _ in range(5)
            ]
            for reader, _ in clients[:2]:
                assert await asyncio.wait_for(reader.read(), 10) == b""
            for _, writer in clients:
                writer.close()
            log = served.read_log()
            assert log.count("connections closed to make room for new ones: 1 (") == 1, log
            assert "SCOREHOST_MAX_CONNECTIONS, and the limit on open files" in log

    asyncio.run(scene())


def test_the_log_says_how_many_places_the_limit_on_open_files_allows(tmp_path: Path) -> None:
    async def scene() -> None:
        with loop_front(tmp_path, {"SCOREHOST_MAX_CONNECTIONS": "1000000000"}) as served:
            found = re.search(r"at most (\d+) connections are open at once", served.read_log())
            assert found
            assert int(found[1]) == most_connections()

    asyncio.run(scene())


def test_turning_away_lets_nobody_new_in_and_those_who_are_in_be_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        early = socket.create_connection(listener.getsockname())
        assert turn_away(listener)

        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.3)
        accepted, _ = listener.accept()
        early.sendall(b"still heard")
        assert accepted.recv(100) == b"still heard"
        accepted.close()
        early.close()


def test_there_is_nothing_to_turn_away_from_a_unix_socket() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        assert not turn_away(listener)


def test_a_socket_that_is_closed_turns_nobody_away() -> None:
    listener = socket.socket()
    listener.close()

    assert not turn_away(listener)
