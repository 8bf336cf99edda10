"""One scoring worker for a command: the server's own process, without a server.

``scorehost check`` and ``scorehost replay`` ask the very worker that serves: started by the same
launcher, interrupted and killed at its deadline in the same way, its end explained by the same
rules. Only the event loop is missing: one request is sent, and what comes back is awaited.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import orjson

from scorehost.diagnosis.cgroup import read_limits
from scorehost.diagnosis.report import Report
from scorehost.errors import FrameError
from scorehost.front.observe.log import PRINT, SCRIPT
from scorehost.front.scheduling.deadlines import AGAIN, STACKS_TAKE
from scorehost.front.workers.capacity import plan_workers
from scorehost.front.workers.deaths import End, explain_end
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.launcher import Launcher
from scorehost.front.workers.leftovers import STEP, Adopted, adopt_orphans, ending
from scorehost.front.workers.roster import Member
from scorehost.front.workers.script_output import ScriptOutput
from scorehost.settings import Settings
from scorehost.wire import answers
from scorehost.wire.answers import AnswerFrame
from scorehost.wire.messages import Failure, ScoringRequest
from scorehost.wire.requests import GO_ON, MEMORY_FILE_FROM, STOP, pack_scoring_request

KEPT_BYTES: Final = 1 << 20
"""Bytes of a stream that are kept; of a longer one its beginning and its size."""
ENDING_TAKES: Final = 1.0
"""Seconds for the process to end by itself when it is told to."""
_START_STACKS_TAKE: Final = 0.3
"""Seconds that a process which is not ready in time gets to write its stacks."""
_FOREVER: Final = float("inf")
_OF_A_START: Final = frozenset({answers.STAGE, answers.READY, answers.FAILED})


class Listener(Protocol):
    """Hears what happens, while it happens and in the order in which it happens."""

    def stage(self, stage: str, facts: Mapping[str, Any]) -> None:
        """A stage begins; ``facts`` are known from the one before."""

    def wrote(self, line: str) -> None:
        """The script has written a line, or logged a record."""


class StartFailed(Exception):
    """The script cannot score; ``report`` says why."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.text())
        self.report = report


@dataclass
class Result:
    """What became of one request.

    Parameters
    ----------
    status, content_type : of the response.
    body : its body; of a stream at most KEPT_BYTES.
    size : bytes of the whole body.
    run_ns : nanoseconds in ``run()``; -1 when it did not return.
    began : when the answer began to come, in seconds on the monotonic clock.
    chunks : pieces of a stream; -1 for a whole response.
    failure : why the script failed, or why a stream was cut.
    is_late : the deadline has passed; ``failure`` says where the script was, if it came back.
    stacks : where its threads were then.
    output : the last lines that the process has written.
    end : why the process ended, when it did.
    """

    status: int = 200
    content_type: str = "application/json"
    body: bytes = b""
    size: int = 0
    run_ns: int = -1
    began: float = 0.0
    chunks: int = -1
    failure: Failure | None = None
    is_late: bool = False
    stacks: str = ""
    output: str = ""
    end: End | None = None


@dataclass
class _Lines:
    """What :class:`ScriptOutput` takes for a log."""

    wrote: Callable[[str], None] = field(repr=False)

    def event(
        self, level: int, logger: str, message: str, *, request_id: str = "", pid: int = 0,
        always: bool = False,
    ) -> None:  # fmt: skip
        del request_id, pid, always
        if logger == PRINT:
            self.wrote(message)
            return
        name = "root" if logger == SCRIPT else logger.removeprefix(f"{SCRIPT}.")
        for line in f"{logging.getLevelName(level)} {name}: {message}".splitlines():
            self.wrote(line)


class OneWorker:
    """Starts a worker and asks it.

    Parameters
    ----------
    settings : as serving would have them; no debugger and no reload are set up.
    environ : the environment of the script.
    listener : hears of stages and output.
    debugger_port : have the worker wait for an editor on this port first; 0 for no debugger.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], listener: Listener,
        *, debugger_port: int = 0,
    ) -> None:  # fmt: skip
        self._settings, self._listener = settings, listener
        adopt_orphans()
        limits = read_limits()
        self._oom_kills = limits.oom_kills
        self._handle = WorkerHandle(Member(1, 1, share=1))
        quiet = replace(settings, debug=False, debug_on_demand=False, reload=False)
        launcher = Launcher(quiet, environ, plan_workers(settings, limits).cpus)
        self._process: subprocess.Popen[bytes] = launcher.start(
            self._handle, alone=True, debugger_port=debugger_port
        )
        self._has_debugger = bool(debugger_port)
        self._adopted = Adopted(lambda: () if self.ended else (self._handle.member,))
        lines = _Lines(listener.wrote)
        self._output = ScriptOutput(
            self._handle.output, lines, self._handle.shared, self._handle.last_lines
        )
        self._frames: deque[AnswerFrame] = deque()
        self._number = 0
        self._inside = False
        self._selector = selectors.DefaultSelector()
        self._pid_file = os.pidfd_open(self._process.pid)
        for each in (self._handle.answers.fileno(), self._handle.output, self._pid_file):
            self._selector.register(each, selectors.EVENT_READ)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._handle.returncode is not None

    # -- starting -----------------------------------------------------------------------------

    def wait_until_ready(self) -> dict[str, Any]:
        """Wait until the script can score; returns how the worker describes it.

        Raises
        ------
        StartFailed
            It cannot, or not within WORKER_TIMEOUT.
        """
        handle = self._handle
        limit = self._settings.worker_timeout
        until = time.monotonic() + limit if limit and not self._has_debugger else _FOREVER
        while True:
            frame = self._next(until)
            if frame is None and not self.ended:
                handle.dump_stacks()
                self._next(time.monotonic() + _START_STACKS_TAKE)
                self._kill("start-timeout")
            if self.ended and (frame is None or frame.kind != answers.FAILED):
                raise StartFailed(Report.from_dict(self._end().report))
            assert frame is not None  # noqa: S101 - it has not ended
            if frame.kind == answers.STAGE:
                handle.stage = frame.body.decode()
                self._listener.stage(handle.stage, frame.read_meta() or {})
                with contextlib.suppress(OSError):  # its end is noticed when it is heard
                    handle.send_control(GO_ON)
            elif frame.kind > answers.CHILD_ENDED:
                self._distrust()
            elif frame.kind == answers.FAILED:
                raise StartFailed(Report.from_dict(orjson.loads(frame.body)))
            elif frame.kind == answers.READY:
                description: dict[str, Any] = orjson.loads(frame.body)
                return description

    # -- asking -------------------------------------------------------------------------------

    def score(
        self,
        request: ScoringRequest,
        *,
        slow_after: float = _FOREVER,
        is_slow: Callable[[], None] = lambda: None,
        most_chunks: int | None = None,
    ) -> Result:
        """Have one request scored, within SCORING_TIMEOUT_MS unless there is a debugger.

        Parameters
        ----------
        request : what is asked.
        slow_after, is_slow : seconds after which ``is_slow`` is called.
        most_chunks : pieces of a stream after which no more are awaited; None for all.
        """
        self._handle.stage = "run"
        self._inside = True
        self._send(request)
        begun = time.monotonic()
        limit = self._settings.scoring_timeout_ms / 1000
        until = _FOREVER if self._has_debugger else begun + limit
        result = Result()
        heard = self._hear(result, min(begun + slow_after, until), most_chunks)
        if not heard and not self.ended and time.monotonic() < until:
            is_slow()
            heard = self._hear(result, until, most_chunks)
        if not heard and not self.ended:
            self._expire(result, most_chunks)
        elif not heard:
            result.end = self._end()
        self._inside = most_chunks is not None and result.chunks >= most_chunks
        result.output = "\n".join(self._handle.last_lines)
        return result

    def _send(self, request: ScoringRequest) -> None:
        self._number += 1
        in_file = len(request.body) >= MEMORY_FILE_FROM
        # With an id the worker marks where its output ends: also a line without its end.
        identity = b"%d" % self._number
        packet = pack_scoring_request(self._number, identity, request, in_file=in_file)
        with contextlib.suppress(OSError):  # its end is noticed when it is heard
            if not in_file:
                self._handle.requests.send(packet)
                return
            body = os.memfd_create("scorehost-body", os.MFD_CLOEXEC)
            try:
                with os.fdopen(body, "wb", closefd=False) as file:
                    file.write(request.body)
                socket.send_fds(self._handle.requests, [packet], [body])
            finally:
                os.close(body)

    def _hear(self, result: Result, until: float, most_chunks: int | None) -> bool:
        """Take what comes; returns whether the result is complete."""
        while (frame := self._next(until)) is not None:
            if frame.kind <= answers.CHILD_ENDED and frame.number != self._number:
                continue  # of another process that has the socket too
            result.began = result.began or time.monotonic()
            if frame.kind == answers.STREAM_BEGIN:
                self._handle.stage = "encode"
            try:
                if self._take(result, frame):
                    return True
            except FrameError:
                self._distrust()
                return False
            if most_chunks is not None and result.chunks >= most_chunks:
                return True
        return False

    @staticmethod
    def _take(result: Result, frame: AnswerFrame) -> bool:
        """Take one frame; returns whether it was the last.

        Raises
        ------
        FrameError
            The worker's own code does not send this.
        """
        if frame.kind > answers.STREAM_END:
            raise FrameError("sent something that is not an answer")
        if frame.kind == answers.STREAM_CHUNK:
            result.chunks += 1
            result.size += len(frame.body)
            result.body += bytes(frame.body[: KEPT_BYTES - len(result.body)])
            return False
        if frame.kind == answers.STREAM_END:
            reason = frame.body.decode("utf-8", "replace")
            if reason:
                detail = frame.read_meta() or {}
                stage = detail.get("stage", "encode")
                result.failure = Failure(500, stage, "", reason, "stream", detail=detail)
            return True
        if frame.kind == answers.FAILURE:
            result.failure = failure = answers.unpack_failure(frame)
            result.status = failure.status
            return True
        result.status = frame.status
        if frame.flags & answers.RUN_RETURNED:
            result.run_ns = frame.run_ns
        if frame.kind == answers.STREAM_BEGIN:
            result.chunks = 0
            result.content_type = answers.unpack_own(frame)[0]
            return False
        if frame.flags & answers.OWN_RESPONSE:
            result.content_type = answers.unpack_own(frame)[0]
        result.body, result.size = bytes(frame.body), len(frame.body)
        return True

    def _expire(self, result: Result, most_chunks: int | None) -> None:
        """Interrupt the script as the server does; kill it when it does not come back."""
        handle = self._handle
        result.is_late = True
        handle.read_stacks()
        handle.dump_stacks()
        until = time.monotonic() + self._settings.interrupt_grace
        stacks_until = time.monotonic() + STACKS_TAKE
        heard = False
        while not heard and not self.ended and time.monotonic() < until:
            handle.interrupt(self._number)
            heard = self._hear(result, min(until, time.monotonic() + AGAIN), most_chunks)
        while not self.ended and time.monotonic() < stacks_until:
            self._wait(stacks_until)
        result.stacks = handle.read_stacks()
        if not heard:
            self._kill("deadline")
            result.end = self._end()

    # -- hearing ------------------------------------------------------------------------------

    def _next(self, until: float) -> AnswerFrame | None:
        """Return the next frame; None when time is up or the process has ended."""
        while not self._frames:
            if self.ended or not self._wait(until):
                return None
        if time.monotonic() >= until:
            return None  # however much there is to hear
        frame = self._frames.popleft()
        if frame.kind in _OF_A_START:
            self._output.drain()  # what was written before comes first
        else:
            self._output.catch_up()
        return frame

    def _wait(self, until: float) -> bool:
        """Wait for something; returns False when time is up."""
        if time.monotonic() >= until:
            return False
        handle = self._handle
        left = None if until == _FOREVER else max(0.0, until - time.monotonic())
        ready = {key.fd for key, _ in self._selector.select(left)}
        if handle.output in ready and not self._output.read(""):
            self._selector.unregister(handle.output)
        if handle.answers.fileno() in ready:
            self._frames += handle.read_answers()
            if handle.silent:
                self._selector.unregister(handle.answers)
        if self._pid_file in ready:
            self._reap()
        return bool(ready)

    def _reap(self) -> None:
        """Note the end of the process, and hear everything that it left behind."""
        self._handle.returncode = self._process.wait()
        self._selector.unregister(self._pid_file)
        self._frames += self._handle.drain_answers()
        self._output.drain()

    # -- ending -------------------------------------------------------------------------------

    def _distrust(self) -> None:
        """Kill the process: something else wrote to the socket on which it answers."""
        self._handle.distrust()
        self._kill("garbled")

    def _kill(self, reason: str) -> None:
        self._handle.kill(reason)
        while not self.ended:
            self._wait(_FOREVER)

    def _end(self) -> End:
        """Return why the process has ended."""
        self._handle.peak_bytes = _peak_of_children()
        return explain_end(self._handle, self._settings, self._oom_kills)

    def close(self) -> None:
        """End the process: asked first, killed when it goes on."""
        if not self.ended and self._inside:
            self._kill("stopped")  # it cannot hear that it should end
        if not self.ended:
            with contextlib.suppress(OSError):
                self._handle.send_control(STOP)
            until = time.monotonic() + ENDING_TAKES
            while not self.ended and time.monotonic() < until:
                self._wait(until)
            if not self.ended:
                self._kill("stopped")
        self._adopted.ended(self._handle.member)
        for _ in ending(self._adopted.find, self._listener.wrote, time.monotonic):
            time.sleep(STEP)
        os.close(self._pid_file)
        self._selector.close()
        self._handle.close()


def _peak_of_children() -> int:
    """Return the most memory that any process of ours has held (bytes; getrusage(2))."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
