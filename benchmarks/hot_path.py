"""What does one request cost in the front's own code, function by function?

Sixty-four connections of a real front, with a transport that swallows answers and a worker that
answers at once, in one process: no kernel, no event loop, no clock that matters. So a count is
the same on every machine and at every load, to a tenth of a percent; a sixth of it is the other
end of the sockets. ``instructions.py`` runs this under valgrind; alone it prints bytecodes by
function, and the best time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

from harness import payloads, table
from scorehost.front.features import Features
from scorehost.front.front import Front
from scorehost.front.http.connection import Connection
from scorehost.front.observe.log import Log
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.roster import SERVING, Member
from scorehost.profile import Profile
from scorehost.settings import Settings
from scorehost.wire import answers
from scorehost.wire.messages import Answer

CONNECTIONS = 64
_RESULT = Answer(b"[385.0,220.0]", run_ns=5000)


class Nowhere:
    """A transport, an event loop and a log's writer that do nothing."""

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("127.0.0.1", 50_000)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def ignore(self, *_: object) -> None:
        """Whatever is asked."""

    write = call_soon = call_later = add_reader = remove_reader = ignore
    pause_reading = resume_reading = close = ignore


class HotPath:
    """A front, its connections and the other end of its worker's sockets."""

    def __init__(self) -> None:
        nowhere = cast(Any, Nowhere())
        log = Log(nowhere, "INFO", "text", "own")
        self.front = Front(
            Settings(), Profile(), {}, log, nowhere, lambda _status: None, Features()
        )
        self.worker = WorkerHandle(Member(1, 0, state=SERVING))
        self.worker.full = False
        self.front.dispatcher.serving.append(self.worker)
        self.connections = [Connection(self.front.context) for _ in range(CONNECTIONS)]
        for connection in self.connections:
            connection.connection_made(cast(asyncio.BaseTransport, nowhere))
        self.request = payloads.GUIDE.request(50_000)
        self._requests, self._answers = self._other_ends()

    def _other_ends(self) -> tuple[Any, Any]:
        """The worker's own sockets, which the front holds until the process has started."""
        handle = cast(Any, self.worker)
        return handle._their_requests, handle._their_answers

    def cycle(self) -> float:
        """Every connection sends once and is answered; returns the seconds the front took."""
        began = time.perf_counter()
        for connection in self.connections:
            connection.data_received(self.request)
        taken, left = time.perf_counter() - began, CONNECTIONS
        while left:
            left -= self.work()
            began = time.perf_counter()
            self.front.results.take(self.worker, self.worker.read_answers())
            taken += time.perf_counter() - began
        began = time.perf_counter()
        self.front.replies.observe()
        return taken + time.perf_counter() - began

    def work(self) -> int:
        """Answer everything that was written ahead, in one piece."""
        numbers = list(self.worker.in_flight)
        if not numbers:
            raise AssertionError("connections wait for an answer that nobody makes")
        for _ in numbers:
            self._requests.recv(4096)
        self._answers.send(b"".join(answers.pack_outcome(number, _RESULT) for number in numbers))
        return len(numbers)

    def counted(self) -> Counter[tuple[str, int]]:
        """What the metrics have counted, by route and status."""
        return self.front.metrics.requests

    def close(self) -> None:
        """Close the sockets."""
        self.front.close()
        self.worker.close()


def best_microseconds(path: HotPath, cycles: int = 2000) -> float:
    """The best of many cycles, per request: what a quiet moment shows."""
    return min(path.cycle() for _ in range(cycles)) / CONNECTIONS * 1e6


def opcodes(path: HotPath, cycles: int = 10) -> tuple[Counter[str], Counter[str]]:
    """Bytecodes and calls of each function of scorehost, over some cycles."""
    counted: Counter[str] = Counter()
    calls: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        code = frame.f_code
        if frame.f_globals.get("__name__") == __name__:
            return None
        frame.f_trace_opcodes = True
        name = f"{code.co_filename.rpartition('/')[2]} {getattr(code, 'co_qualname', code.co_name)}"
        if event == "call":
            calls[name] += 1
        elif event == "opcode":
            counted[name] += 1
        return trace

    sys.settrace(trace)
    for _ in range(cycles):
        path.cycle()
    sys.settrace(None)
    return counted, calls


def as_table(path: HotPath, cycles: int = 10) -> str:
    """Bytecodes by function, the most expensive first."""
    counted, calls = opcodes(path, cycles)
    requests = cycles * CONNECTIONS
    rows = [
        [f"`{name}`", f"{count / requests:.1f}", f"{calls[name] / requests:.2f}"]
        for name, count in counted.most_common()
        if count >= requests
    ]
    rows.append(["all", f"{counted.total() / requests:.0f}", f"{calls.total() / requests:.0f}"])
    return table.markdown(["function", "bytecodes per request", "calls"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, help="run so many cycles and say nothing")
    options = parser.parse_args()
    path = HotPath()
    for _ in range(20):
        path.cycle()
    if options.cycles is not None:
        for _ in range(options.cycles):
            path.cycle()
        return
    print(as_table(path))
    print(f"best time: {best_microseconds(path):.1f} µs per request, one system call included")


if __name__ == "__main__":
    main()
