"""A real front in memory: bytes in, bytes out, and a clock that passes when it is told to.

Everything of the front is real but what joins it to the system: its event loop, its connections'
transports, and the process at the other end of a worker's sockets. That end is played here, by the
real pipeline over the real wire. So a test takes milliseconds, waits for nothing, and says what the
client does, byte by byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import heapq
import itertools
import select
import socket
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import orjson

from scorehost.describing.describe import describe
from scorehost.entry_script import EntryScript, load_entry_script, run_init
from scorehost.front.clock import Clock
from scorehost.front.features import Features
from scorehost.front.front import Front
from scorehost.front.http.connection import Connection as FrontConnection
from scorehost.front.observe.log import Log
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.roster import SERVING, Member
from scorehost.profile import Profile
from scorehost.scoring.pipeline import Pipeline
from scorehost.settings import Settings
from scorehost.sources import resolve
from scorehost.wire import answers
from scorehost.wire.messages import ScoringRequest, Stream
from scorehost.wire.requests import Control, RequestReader
from scorehost.wire.shared import SharedState
from scorehost.worker.process import needs_everything
from support.client import Connection
from support.requests import Requests
from support.scripts import Loader
from support.server import fill, script_file

HIGH_WATER = 64 << 10
"""Bytes that asyncio keeps for a client before it asks the protocol to pause."""
KERNEL_BUFFER = 1 << 20
"""Bytes that wait for the client's next read before the transport keeps them itself."""
READ_SIZE = 256 << 10
"""Bytes that uvloop hands to a protocol at once."""


class MemoryLoop:
    """As much of an event loop as the front asks for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._ready: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._readers: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._ready.append((call, arguments))

    call_soon_threadsafe = call_soon

    def call_later(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> None:
        heapq.heappush(self._timers, (self.now + seconds, next(self._order), call, arguments))

    def add_reader(self, descriptor: int, call: Callable[..., Any], *arguments: Any) -> None:
        self._readers[descriptor] = (call, arguments)

    def remove_reader(self, descriptor: int) -> None:
        self._readers.pop(descriptor, None)

    def step(self) -> bool:
        """Do one turn: what can be done now; returns whether there was anything."""
        did = False
        for _ in range(len(self._ready)):  # what is added meanwhile belongs to the next turn
            call, arguments = self._ready.popleft()
            call(*arguments)
            did = True
        readable, _, _ = select.select(list(self._readers), [], [], 0)
        for descriptor in readable:
            if descriptor in self._readers:
                call, arguments = self._readers[descriptor]
                call(*arguments)
                did = True
        return did

    def pass_by(self, seconds: float, between: Callable[[], object]) -> None:
        """Let time pass; what was due meanwhile is called in its turn."""
        end = self.now + seconds
        between()
        while self._timers and self._timers[0][0] <= end:
            due, _, call, arguments = heapq.heappop(self._timers)
            self.now = max(self.now, due)
            call(*arguments)
            between()
        self.now = end


class MemoryClock(Clock):
    """The loop's time, which the test passes."""

    def __init__(self, loop: MemoryLoop) -> None:
        self.now = loop.time
        self.soon = loop.call_soon
        self.later = loop.call_later


class MemoryTransport:
    """Between a connection of the front and a client's end."""

    def __init__(self, loop: MemoryLoop, protocol: FrontConnection) -> None:
        self._loop = loop
        self._protocol = protocol
        self._socket = socket.socket()  # only asked for its family and options
        self._incoming: deque[bytes | None] = deque()
        self._reading = True
        self._closing = self._lost = self._resets = self._telling = False
        self._unsent = bytearray()
        self.room = KERNEL_BUFFER
        self.sent = bytearray()
        self.ended = ""
        """How the client sees the end: "", "closed" or "reset"."""

    # -- the client's side ----------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        for start in range(0, len(data), READ_SIZE):
            self._incoming.append(data[start : start + READ_SIZE])
        self._loop.call_soon(self._deliver)

    def end_of_input(self) -> None:
        self._incoming.append(None)
        self._loop.call_soon(self._deliver)

    def let_go(self) -> None:
        self._socket.close()

    def vanish(self) -> None:
        self._lose(ConnectionResetError(errno.ECONNRESET, "reset"))

    def take(self, most: int | None = None) -> bytes:
        """The client reads what is there, or a part; what was kept for it moves up."""
        data = bytes(self.sent[:most])
        del self.sent[:most]
        full = len(self._unsent) > HIGH_WATER
        self._move_up()
        if full and len(self._unsent) <= HIGH_WATER:
            self._telling = True
            self._protocol.resume_writing()
            self._telling = False
        if self._closing and not self._unsent:
            self._loop.call_soon(self._lose, None)
        return data

    def _move_up(self) -> None:
        fits = max(0, self.room - len(self.sent))
        self.sent += self._unsent[:fits]
        del self._unsent[:fits]

    def _deliver(self) -> None:
        while self._incoming and self._reading and not self._closing and not self._lost:
            data = self._incoming.popleft()
            if data is not None:
                self._protocol.data_received(data)
            elif not self._protocol.eof_received():
                self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self.ended = "reset" if self._resets else "closed"
            self._protocol.connection_lost(error)
            self._socket.close()

    # -- the connection's side ------------------------------------------------------------

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("127.0.0.1", 50_000), "socket": self}.get(name)

    family = socket.AF_INET

    def fileno(self) -> int:
        return self._socket.fileno() if not self._lost else 0

    def setsockopt(self, _level: int, option: int, _value: Any) -> None:
        self._resets = self._resets or option == socket.SO_LINGER

    def write(self, data: bytes | memoryview) -> None:
        assert not self._telling, "if this failed now, asyncio would close twice"
        if self._lost:
            return
        before = len(self._unsent)
        self._unsent += data
        self._move_up()
        if before <= HIGH_WATER < len(self._unsent):
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = self.ended or "closed"

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._deliver)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._unsent:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self._closing = True
        self._unsent.clear()
        self._loop.call_soon(self._lose, None)


class _ClientSocket:
    """What :class:`support.client.Connection` takes for a socket."""

    def __init__(self, server: MemoryServer, transport: MemoryTransport) -> None:
        self._server, self._transport = server, transport
        self._closed = False

    def sendall(self, data: bytes) -> None:
        if self._transport.ended:
            raise BrokenPipeError(errno.EPIPE, "the server has ended the connection")
        self._transport.feed(bytes(data))
        self._server.run()

    def recv(self, _size: int) -> bytes:
        self._server.run()
        data = self._transport.take()
        if data:
            return data
        if self._transport.ended == "reset":
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        if self._transport.ended:
            return b""
        raise TimeoutError("nothing comes, whatever time it is")

    def shutdown(self, _how: int) -> None:
        self._transport.end_of_input()
        self._server.run()

    def setsockopt(self, _level: int, option: int, _value: Any) -> None:
        if option == socket.SO_LINGER:
            self._transport.vanish()

    def gettimeout(self) -> None:
        return None

    def settimeout(self, _seconds: float | None) -> None:
        """No time passes while one waits."""

    def fileno(self) -> int:
        return -1 if self._closed else 0

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._transport.end_of_input()
            self._server.run()


class MemoryConnection(Connection):
    """A client's connection to a front in memory."""

    def __init__(self, server: MemoryServer, *, health_only: bool = False) -> None:
        self._buffer = b""
        self._ended = ""
        self.connection = FrontConnection(server.front.context, health_only=health_only)
        self.transport = MemoryTransport(server.loop, self.connection)
        self.socket = cast(Any, _ClientSocket(server, self.transport))
        self.connection.connection_made(cast(asyncio.BaseTransport, self.transport))


class MemoryWorker:
    """The other end of a worker's sockets, which scores in this process."""

    def __init__(self, index: int, pipeline: Pipeline | None) -> None:
        self.handle = WorkerHandle(Member(index, 1, state=SERVING))
        files = self.handle.their_files()
        requests, answers_, shared = (socket.dup(each) for each in files[:3])
        self._requests = socket.socket(fileno=requests)
        self._answers = socket.socket(fileno=answers_)
        self._requests.setblocking(False)
        self._answers.setblocking(False)
        self._reader = RequestReader(self._requests)
        self.shared = SharedState(shared)
        self.handle.handed_over()
        self._pipeline = pipeline
        self._unsent: deque[bytes] = deque()
        self._stream: tuple[int, Any] | None = None
        self.paused = pipeline is None
        """Whether it leaves requests to the test, as while ``run()`` takes its time."""

    def next(self) -> tuple[int, ScoringRequest] | None:
        """Begin the next request, if one is there."""
        try:
            packet = self._reader.next()
        except BlockingIOError:
            return None
        if packet is None or isinstance(packet, Control):
            return None
        number, _, request = packet
        self.shared.begin(number, 0)
        return number, request

    def send(self, frame: bytes) -> None:
        """Send a frame, now or when there is room for it."""
        self._unsent.append(frame)
        self.flush()

    def flush(self) -> bool:
        """Write what there is room for; returns whether anything was written."""
        wrote = False
        while self._unsent:
            try:
                sent = self._answers.send(self._unsent[0])
            except BlockingIOError:
                return wrote
            wrote = True
            rest = self._unsent.popleft()[sent:]
            if rest:
                self._unsent.appendleft(rest)
        return wrote

    def step(self) -> bool:
        """Go on with a stream, or score the next request; returns whether there was anything."""
        if self.flush():
            return True
        if self._unsent or self.paused:
            return False
        if self._stream is not None:
            return self._go_on()
        begun = self.next()
        if begun is None:
            return False
        number, request = begun
        assert self._pipeline is not None, "it is paused"
        outcome = self._pipeline.score(request)
        if isinstance(outcome, Stream):
            self.send(answers.pack_stream_begin(number, outcome))
            self._stream = number, iter(outcome.chunks)
        else:
            self.shared.end()
            self.send(answers.pack_outcome(number, outcome))
        return True

    def _go_on(self) -> bool:
        assert self._stream is not None
        number, chunks = self._stream
        failure = ""
        try:
            chunk = next(chunks, None)
        except Exception as error:
            chunk, failure = None, repr(error)
        if chunk is not None:
            self.send(answers.pack_frame(answers.STREAM_CHUNK, number, chunk))
            return True
        self._stream = None
        self.shared.end()
        self.send(answers.pack_frame(answers.STREAM_END, number, failure.encode()))
        return True

    def close(self) -> None:
        self._requests.close()
        self._answers.close()
        self.shared.close()
        self.handle.close()


class _Inline:
    """An executor that does its work at once."""

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **_: Any) -> None:
        """Nothing is left to do."""


class MemoryServer(Requests):
    """A front in memory, with the requests part of what ``LiveServer`` offers.

    Parameters
    ----------
    folder : becomes the app root; made here.
    script : name of an entry script of the tests; "" when the files hold it, or for none.
    settings : environment variables.
    files : more files of the app root.
    arguments : flags of the command line, "--name value".
    workers : how many score; 0 for a server that is still starting.
    features : what the server does besides.
    """

    def __init__(
        self,
        folder: Path,
        script: str = "",
        *,
        settings: Mapping[str, str] = {},
        files: Mapping[str, str | bytes] = {},
        workers: int = 1,
        features: Features | None = None,
        profile: Profile | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        fill(folder, files)
        if script:
            (folder / script).write_bytes(script_file(script).read_bytes())
        environ = {"AML_APP_ROOT": str(folder)} | dict(settings)
        flags = {"entry_script": script} if script else {}
        self.settings: Settings = resolve(flags, environ).settings
        self.folder = folder
        self.loop = MemoryLoop()
        self._log = bytearray()
        self._scripts = Loader(folder)
        self.stopped: list[int] = []
        self._transports: list[MemoryTransport] = []
        writer = cast(Any, type("Writer", (), {"write": staticmethod(self._log.extend)}))
        profile = profile or Profile()
        settings_ = self.settings
        self.front = Front(
            settings_,
            profile,
            {},
            Log(writer, settings_.log_level, settings_.log_format, profile.log_style),
            cast(asyncio.AbstractEventLoop, self.loop),
            self.stopped.append,
            features or Features(),
            MemoryClock(self.loop),
        )
        self.front._background._executor = cast(Any, _Inline())
        self.front.pool._processes.take_answers = self.front.results.take
        self.workers: list[MemoryWorker] = []
        has_script = script or settings_.script.is_file()
        loaded = self._load() if has_script else None
        for index in range(workers):
            self.add_worker(index + 1, loaded)
        self.loop.call_later(1.0, self._round)

    def _load(self) -> EntryScript:
        settings = self.settings
        script = load_entry_script(settings.script, settings.root)
        self._scripts.keep(script)
        run_init(script)
        return script

    def add_worker(self, index: int = 1, script: EntryScript | None = None) -> MemoryWorker:
        """Have one more worker score."""
        pipeline = None
        pool = self.front.pool
        if script is not None:
            pipeline = Pipeline(script, nan=self.settings.nan, explain=self.settings.debug)
            description = describe(script, self.settings)
            pool.description = orjson.loads(
                orjson.dumps(
                    {
                        "style": script.style,
                        "documents": description.documents,
                        "reason": description.reason,
                    },
                    default=str,
                )
            )
        worker = MemoryWorker(index, pipeline)
        worker.handle.full = script is None or needs_everything(script)
        self.workers.append(worker)
        pool.lifecycle.roster.members.append(worker.handle.member)
        pool.lifecycle.ever_ready = True
        pool._handles[worker.handle.member] = worker.handle
        self.loop.add_reader(worker.handle.answers.fileno(), self._hear, worker.handle)
        worker.handle.hear = lambda listen: self._listen(worker.handle, listen)
        self.front.dispatcher.add(worker.handle)
        return worker

    def _listen(self, handle: WorkerHandle, listen: bool) -> None:
        if listen:
            self.loop.add_reader(handle.answers.fileno(), self._hear, handle)
        else:
            self.loop.remove_reader(handle.answers.fileno())

    def _hear(self, handle: WorkerHandle) -> None:
        self.front.results.take(handle, handle.read_answers())

    def _round(self) -> None:
        self.loop.call_later(1.0, self._round)
        self.front.context.untaken.look()
        self.front.context.connections.expire(self.loop.now)
        self.front.pool.check_frames()

    # -- time -----------------------------------------------------------------------------

    def run(self) -> None:
        """Do everything that can be done now."""
        while self.loop.step() or self._workers_step():
            pass

    def _workers_step(self) -> bool:
        did = [worker.step() for worker in self.workers]  # each has its turn
        return any(did)

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.pass_by(seconds, self.run)

    # -- requests, as LiveServer has them -------------------------------------------------

    def connect(self, timeout: float = 60.0, *, health_only: bool = False) -> MemoryConnection:
        del timeout
        connection = MemoryConnection(self, health_only=health_only)
        self._transports.append(connection.transport)
        return connection

    def wait_ready(self) -> MemoryServer:
        return self

    wait_listening = wait_ready

    # -- its log --------------------------------------------------------------------------

    @property
    def log(self) -> str:
        self.run()
        self.front.replies.observe()
        return self._log.decode("utf-8", "replace")

    def lines(self, *parts: str) -> list[str]:
        return [line for line in self.log.splitlines() if all(part in line for part in parts)]

    def wait_for_line(self, *parts: str) -> str:
        found = self.lines(*parts)
        assert found, f"no log line with {parts}:\n{self.log}"
        return found[0]

    def records(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.log.splitlines() if line.strip()]

    # -- the end --------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of sockets and scripts."""
        self.front.close()
        for transport in self._transports:
            transport.let_go()
        for worker in self.workers:
            with contextlib.suppress(OSError):
                worker.close()
        self._scripts.undo()
