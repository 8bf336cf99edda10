"""A small HTTP client that times whole calls and can send an exact number of them.

``wrk`` counts seconds; where a number of requests must be exact, or a header of each answer is
needed, this is used instead.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.servers import LOOPBACK, Workload


@dataclass(frozen=True)
class Call:
    """One answered request."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class Connection:
    """One client that keeps its connection while the server does."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(self, request: bytes) -> Call:
        """Send a request and read its whole answer; connecting, where needed, is in the time."""
        started = time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection((LOOPBACK, self.port), timeout=120)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        status, headers, body = _read_answer(self._socket)
        taken = time.perf_counter() - started
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Call(status, headers, body, taken)


def _read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    raw = bytearray()
    while b"\r\n\r\n" not in raw:
        raw += _some(connection)
    head, _, rest = bytes(raw).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (s.partition(":") for s in lines)
    }
    status = int(first.split(" ", 2)[1])
    return status, headers, _read_body(connection, headers, rest)


def _read_body(connection: socket.socket, headers: dict[str, str], begun: bytes) -> bytes:
    parts, have = [begun], len(begun)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while not parts[-1].endswith(b"0\r\n\r\n"):
            parts.append(_some(connection))
        return b"".join(b"".join(parts).split(b"\r\n")[1::2])
    while have < int(headers["content-length"]):
        parts.append(_some(connection))
        have += len(parts[-1])
    return b"".join(parts)


def _some(connection: socket.socket) -> bytes:
    chunk = connection.recv(1 << 18)
    if not chunk:
        raise ConnectionError("the server closed before its answer was complete")
    return chunk


def exactly(port: int, workload: Workload, count: int, connections: int) -> None:
    """Send exactly ``count`` requests over some connections at once; all must be answered 200."""
    request = workload.request(port)
    turns = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        client = Connection(port)
        while _next(turns, lock):
            call = client.call(request)
            if call.status != 200:
                raise AssertionError(f"status {call.status}: {call.body[:200]!r}")
        client.close()

    with ThreadPoolExecutor(connections) as pool:
        for done in [pool.submit(work) for _ in range(connections)]:
            done.result()


def _next(turns: Iterator[int], lock: threading.Lock) -> bool:
    with lock:
        return next(turns, None) is not None
