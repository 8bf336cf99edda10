"""Parts of the front for tests without a server: exchanges, a clock, a worker without a process."""

from __future__ import annotations

import heapq
import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from scorehost.errors import RequestError
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.roster import SERVING, Member
from scorehost.wire.answers import pack_outcome
from scorehost.wire.messages import Answer, ScoringRequest
from scorehost.wire.requests import RequestReader
from scorehost.wire.shared import SharedState


def exchange(body: bytes = b"null", **fields: Any) -> Exchange:
    """Make an exchange as the connection would when it is complete."""
    connection = SimpleNamespace(address="10.0.0.1", lost=False)
    made = Exchange(cast("Any", connection), 0.0, {})
    made.method, made.target, made.path = b"POST", b"/score", b"/score"
    made.body, made.size = body, len(body)
    made.request_id = b"id-1"
    for name, value in fields.items():
        setattr(made, name, value)
    return made


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._calls: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self.time

    def later(self, seconds: float, call: Callable[..., object], *args: object) -> None:
        heapq.heappush(self._calls, (self.time + seconds, next(self._order), call, args))

    def pass_by(self, seconds: float) -> None:
        """Let time pass; what was due meanwhile is called in its turn."""
        end = self.time + seconds
        while self._calls and self._calls[0][0] <= end:
            due, _, call, args = heapq.heappop(self._calls)
            self.time = max(self.time, due)
            call(*args)
        self.time = end


class Outlet:
    """Answers with errors as the front does, and remembers whom; and whose time was over."""

    def __init__(self) -> None:
        self.failed: list[Exchange] = []
        self.errors: list[RequestError] = []
        self.late: list[tuple[WorkerHandle, Exchange]] = []

    def fail(self, failed: Exchange, error: RequestError) -> None:
        if failed.state == DONE:
            return
        self.failed.append(failed)
        self.errors.append(error)
        failed.state = DONE
        failed.release()

    def expired(self, worker: WorkerHandle, late: Exchange) -> None:
        self.late.append((worker, late))


class Hands:
    """The worker's end of a handle's sockets, without a process behind it."""

    def __init__(self, handle: WorkerHandle, now: Callable[[], float]) -> None:
        requests, answers, shared = (os.dup(each) for each in handle.their_files()[:3])
        self._now = now
        self._requests = socket.socket(fileno=requests)
        self._answers = socket.socket(fileno=answers)
        self._reader = RequestReader(self._requests)
        self.shared = SharedState(shared)
        os.close(shared)

    def take(self) -> tuple[int, ScoringRequest] | None:
        """Take the next packet: its number, and what is to be scored; None when there is none."""
        self._requests.setblocking(False)
        try:
            packet = self._reader.next()
        except BlockingIOError:
            return None
        assert isinstance(packet, tuple)
        return packet[0], packet[-1]

    def begin(self) -> tuple[int, ScoringRequest] | None:
        """Begin the next request, as a worker marks it; None when there is none."""
        packet = self.take()
        if packet is not None:
            self.shared.begin(packet[0], int(self._now() * 1e9))
        return packet

    def answer(self, number: int, body: bytes = b"1", run_ns: int = 1000) -> None:
        """Answer a request."""
        self.shared.end()
        self._answers.sendall(pack_outcome(number, Answer(body, run_ns=run_ns)))

    def echo_until_stopped(self, begun: list[bytes]) -> None:
        """Answer every request with its own body, as fast as they come, until told to stop."""
        self._requests.setblocking(True)
        while isinstance(packet := self._reader.next(), tuple):
            number, body = packet[0], packet[-1].body
            self.shared.begin(number, int(self._now() * 1e9))
            begun.append(body)
            self.answer(number, body)

    def close(self) -> None:
        """Let go of everything."""
        self._requests.close()
        self._answers.close()
        self.shared.close()


@contextmanager
def worker_without_process(
    index: int, now: Callable[[], float]
) -> Iterator[tuple[WorkerHandle, Hands]]:
    """A serving worker: the front's side, and the hands that do its work."""
    handle = WorkerHandle(Member(index, 1, state=SERVING))
    hands = Hands(handle, now)
    handle.handed_over()
    handle.full = False
    try:
        yield handle, hands
    finally:
        hands.close()
        handle.close()
