"""Two and a hundred megabytes, both ways, on every transport; and nobody else has to wait."""

from __future__ import annotations

import threading
import time
import zlib
from pathlib import Path

import pytest

from support.clock import hold_to
from support.listening import LISTENING
from support.processes import resident_bytes, tree
from support.server import LiveServer, StartServer
from support.wait import wait_until

MB = 1 << 20
SCRIPT = """
import zlib
def init():
    pass
def run(data):
    if data.startswith('give'):
        return 'x' * int(data[4:])
    return [len(data), zlib.crc32(data.encode())]
"""


@pytest.fixture
def server(own_server: StartServer, tmp_path: Path, where: str) -> LiveServer:
    address, arguments = LISTENING[where](tmp_path)
    return own_server(files={"main.py": SCRIPT}, address=address, arguments=arguments)


@pytest.mark.parametrize("where", LISTENING)
@pytest.mark.parametrize("size", [2 * MB, 100 * MB])
def test_a_large_body_arrives_whole(server: LiveServer, size: int) -> None:
    body = b"0123456789abcde\n" * (size // 16)

    assert server.post(body=body, timeout=60).json() == [size, zlib.crc32(body)]


@pytest.mark.parametrize("where", LISTENING)
@pytest.mark.parametrize("size", [2 * MB, 100 * MB])
def test_a_large_answer_arrives_whole(server: LiveServer, size: int) -> None:
    with server.connect() as connection:
        for _ in range(2):  # and the connection is in step after it
            connection.send_request("POST", "/score", body=b"give%d" % size)
            answer = connection.read_response()
            assert answer.status == 200
            assert answer.body == b'"' + b"x" * size + b'"'


@pytest.mark.clock
@pytest.mark.parametrize("where", ["tcp"])
@pytest.mark.parametrize("way", ["up", "down"])
def test_others_are_answered_meanwhile(server: LiveServer, way: str) -> None:
    """To copy a hundred megabytes in one go would make the front deaf for as long."""
    body = b"y" * (100 * MB) if way == "up" else b"give%d" % (100 * MB)
    with server.connect() as probe:

        def slowest_meanwhile() -> float:
            moving = threading.Thread(target=server.post, kwargs={"body": body, "timeout": 60})
            moving.start()
            times = []
            while moving.is_alive():
                began = time.perf_counter()
                assert probe.request("GET", "/livez").status == 200
                times.append(time.perf_counter() - began)
            moving.join()
            return sorted(times)[int(len(times) * 0.99)]

        hold_to(0.05, slowest_meanwhile, times=3)


@pytest.mark.parametrize("where", ["tcp"])
def test_memory_is_given_back(server: LiveServer) -> None:
    """Neither a body nor an answer stays in the front when it has been passed on."""
    front = next(each.pid for each in tree(server.pid) if each.parent == server.pid)
    assert server.post(body=b"warm").status == 200
    before = resident_bytes(front)

    for _ in range(2):
        assert server.post(body=b"y" * (50 * MB)).status == 200
        assert server.post(body=b"give%d" % (50 * MB)).status == 200

    wait_until(lambda: resident_bytes(front) - before < 20 * MB, what="it was given back")
    assert server.get("/metrics").text.count("scorehost_queue_bytes 0.0") == 1


@pytest.mark.parametrize("where", ["tcp"])
def test_a_large_answer_to_head_has_no_body(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.send_request("HEAD", "/score?x=1", body=None)
        head = connection.read_response("HEAD")
        assert head.status == 200
        assert connection.request("GET", "/livez").status == 200
