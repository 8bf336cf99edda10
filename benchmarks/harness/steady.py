"""Clients that ask without pause, and what became of every single request.

For faults: a request is **lost** when it was sent whole on a connection that the server's side
had accepted, and no complete answer came. Most clients keep their connection and open another
only when an answer says ``Connection: close``; some open one for every request, so that there
is always somebody who is just coming in.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

PATIENCE = 10.0
"""Seconds without a byte after which an answer is taken for lost."""
_BETWEEN_ATTEMPTS = 0.002


@dataclass
class Tally:
    """What became of the requests.

    Parameters
    ----------
    answered : complete answers by status.
    lost : why a request that was sent whole has no complete answer.
    cut : kept connections that the server ended without having said so; nothing was sent whole.
    refused : attempts to connect that nobody accepted.
    """

    answered: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def total(self) -> int:
        """Complete answers."""
        return sum(self.answered.values())


class _NoAnswer(Exception):
    """The connection ended, or stayed silent, before the answer was complete."""


class SteadyLoad:
    """Clients in threads; a context manager that stops them.

    Parameters
    ----------
    connect : opens a connection.
    body : what is posted to ``/score``.
    kept : clients that keep their connection.
    fresh : clients that open one for every request.
    """

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        body: bytes,
        *,
        kept: int = 12,
        fresh: int = 4,
    ) -> None:
        self.tally = Tally()
        self._connect = connect
        head = b"POST /score HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\n"
        self._request = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._client, args=(number < kept,), name=f"client {number}")
            for number in range(kept + fresh)
        ]

    def __enter__(self) -> SteadyLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def answers(self, more: int, *, status: int = 200, limit: float = 30.0) -> None:
        """Wait until this many more answers of that status have come."""
        wanted = self.tally.answered[status] + more
        until = time.monotonic() + limit
        while self.tally.answered[status] < wanted:
            if time.monotonic() > until:
                raise TimeoutError(f"{more} more answers did not come: {self.tally}")
            time.sleep(0.005)

    # -- one client ---------------------------------------------------------------------------

    def _client(self, keeps: bool) -> None:
        connection: socket.socket | None = None
        while not self._stop.is_set():
            connection = connection or self._open()
            if connection is not None:
                goes_on = self._ask(connection) and keeps
                if not goes_on:
                    connection.close()
                    connection = None
        if connection is not None:
            connection.close()

    def _open(self) -> socket.socket | None:
        try:
            connection = self._connect()
        except OSError:  # refused, or reset within the TLS handshake
            with self._lock:
                self.tally.refused += 1
            self._stop.wait(_BETWEEN_ATTEMPTS)
            return None
        connection.settimeout(PATIENCE)
        return connection

    def _ask(self, connection: socket.socket) -> bool:
        """One request and its answer; False when the connection is of no more use."""
        try:
            connection.sendall(self._request)
        except OSError as error:
            with self._lock:
                self.tally.cut.append(repr(error))
            return False
        try:
            status, closes = read_answer(connection)
        except (_NoAnswer, OSError) as error:
            with self._lock:
                self.tally.lost.append(repr(error))
            return False
        with self._lock:
            self.tally.answered[status] += 1
        return not closes


def read_answer(connection: socket.socket) -> tuple[int, bool]:
    """Read one answer whole: its status, and whether it says that the connection ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection, data)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines[1:])
    left = int(fields[b"content-length"]) - len(body)
    while left > 0:
        left -= len(_more(connection, data))
    return int(lines[0].split()[1]), fields.get(b"connection") == b"close"


def _more(connection: socket.socket, so_far: bytes) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise _NoAnswer(f"the connection ended after {so_far[:80]!r}")
    return data


def over_tcp(port: int, host: str = "127.0.0.1") -> Callable[[], socket.socket]:
    """What opens a connection to a port."""

    def connect() -> socket.socket:
        connection = socket.create_connection((host, port), 0.5)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    return connect
