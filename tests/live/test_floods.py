"""More connections than there may be, over real sockets: who was served is served on."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.client import Address, Connection, request_bytes
from support.listening import tls
from support.processes import resident_bytes, tree
from support.server import LiveServer, StartServer, free_port
from support.wait import wait_until

HEAD = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """This test may have thousands of sockets open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 8192), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def front_of(server: LiveServer) -> int:
    return next(each.pid for each in tree(server.pid) if each.parent == server.pid)


def flood(server: LiveServer, count: int, sent: bytes = b"") -> list[socket.socket]:
    """Open connections as fast as it goes, and send the beginning of something on each."""
    opened = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", server.address.port), timeout=30)
        opened.append(sock)
        if sent:
            with contextlib.suppress(OSError):  # it may have been closed for another already
                sock.sendall(sent)
    return opened


def still_open(sockets: list[socket.socket]) -> int:
    """How many of them the server has not closed."""
    poll = select.poll()
    for each in sockets:
        poll.register(each, select.POLLIN | select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return len(sockets) - len(poll.poll(0))


@pytest.mark.parametrize(
    "sent", [b"", b"GET /li", HEAD[:-2], HEAD + b" " * 60_000],
    ids=["nothing", "a request line", "headers", "a body"],
)  # fmt: skip
def test_a_burst_leaves_no_more_than_there_may_be(
    own_server: StartServer, many_descriptors: None, sent: bytes
) -> None:
    server = own_server("echo.py", settings={"SCOREHOST_MAX_CONNECTIONS": "50"})
    with server.connect() as steady:
        assert steady.request("POST", "/score", body=b"[0]").json() == [0]
        burst = flood(server, 500, sent)
        wait_until(lambda: still_open(burst) <= 50, what="the limit holds")

        assert steady.request("POST", "/score", body=b"[1]").json() == [1]
        assert server.get("/livez").status == 200
        assert server.score([2]) == [2]
    for each in burst:
        each.close()


@pytest.mark.parametrize("health_port", [False, True])
def test_a_thousand_silent_clients_and_few_descriptors(
    own_server: StartServer, many_descriptors: None, health_port: bool
) -> None:
    """Probes are answered, workers restarted and large bodies scored beside them."""
    port = free_port()
    settings = {"HEALTH_PORT": str(port)} if health_port else {}
    server = own_server("echo.py", settings=settings, shell='ulimit -n 1024; exec "$@"')
    crowd = flood(server, 1200)

    probes = Address(port=port) if health_port else server.address
    for _ in range(20):
        with Connection(probes, timeout=30) as probe:
            assert probe.request("GET", "/livez").status == 200
    assert server.score("x" * 100_000) == "x" * 100_000
    workers = [each for each in tree(server.pid) if each.parent == front_of(server)]
    for each in workers:
        os.kill(each.pid, signal.SIGKILL)
    # The first one may still reach the worker that has just been killed.
    wait_until(lambda: server.post(json=[1]).status == 200, what="another worker scores")
    assert not server.lines("could not be accepted")
    for each in crowd:
        each.close()


@pytest.mark.parametrize(
    "sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=["silent", "half a hello"]
)
def test_a_silent_tls_client_is_bound_by_the_limits(
    own_server: StartServer, tmp_path: Path, sent: bytes
) -> None:
    address, options = tls(tmp_path)
    settings = {"SCOREHOST_HEADER_TIMEOUT": "1", "SCOREHOST_MAX_CONNECTIONS": "20"}
    server = own_server("echo.py", address=address, arguments=options, settings=settings)
    silent = flood(server, 100, sent)

    wait_until(lambda: still_open(silent) <= 20, what="the limit on connections holds")
    with server.connect() as client:
        assert client.request("POST", "/score", body=b"[1]").json() == [1]
    wait_until(lambda: still_open(silent) == 0, what="their time for the handshake is over")
    for each in silent:
        each.close()


@pytest.mark.parametrize("end", [Connection.close, Connection.reset])
def test_a_tls_client_that_leaves_in_the_handshake_leaves_nothing(
    own_server: StartServer, tmp_path: Path, end: Callable[[Connection], None]
) -> None:
    address, options = tls(tmp_path)
    server = own_server("echo.py", address=address, arguments=options)
    before = len(list(Path(f"/proc/{front_of(server)}/fd").iterdir()))
    plain = Address(port=address.port)
    for _ in range(20):
        client = Connection(plain)
        client.send(b"\x16\x03\x01\x02\x00")
        end(client)

    def descriptors() -> int:
        return len(list(Path(f"/proc/{front_of(server)}/fd").iterdir()))

    wait_until(lambda: descriptors() <= before, what="their descriptors are closed")
    with server.connect() as client:
        assert client.request("GET", "/livez").status == 200


@pytest.mark.parametrize("sent", [HEAD + b" " * 60_000, b""], ids=["half a body", "nothing"])
def test_tls_connections_that_have_ended_leave_no_memory(
    own_server: StartServer, tmp_path: Path, sent: bytes
) -> None:
    """Their buffers are let go of with them, not at some later garbage collection."""
    address, options = tls(tmp_path)
    server = own_server("echo.py", address=address, arguments=options)

    def visit(count: int) -> int:
        for _ in range(count):
            with server.connect() as client:
                client.send(sent)
        assert server.get("/livez").status == 200
        return resident_bytes(front_of(server))

    before = visit(50)
    assert visit(200) - before < 15 << 20  # it was 50


def test_a_plain_request_on_the_tls_port_is_closed(own_server: StartServer, tmp_path: Path) -> None:
    address, options = tls(tmp_path)
    server = own_server("echo.py", address=address, arguments=options)
    with Connection(Address(port=address.port)) as client:
        client.send(request_bytes("GET", "/livez"))
        assert client.at_end()
    with server.connect() as client:
        assert client.request("GET", "/livez").status == 200
