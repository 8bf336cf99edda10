"""The process in which ``scorehost replay`` scores.

A request that ends it, or that does not end, is the outcome of that request alone: the next one
gets another process. Its parent keeps the deadline, in the way the front of a server does: what is
Python code is interrupted, what is not is killed after the grace time.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, NoReturn

from scorehost.dev.recording import LARGEST_ANSWER, as_bytes, outcome_of
from scorehost.dev.script_debuggers import answer_as_done
from scorehost.diagnosis.deaths import explain_exit
from scorehost.entry_script import EntryScript, load_entry_script, run_init
from scorehost.errors import EntryScriptError, MissingExtra, UsageError
from scorehost.scoring.failure import failure_of
from scorehost.scoring.invocation import Interrupted
from scorehost.scoring.pipeline import Pipeline
from scorehost.settings import Settings
from scorehost.wire.messages import Failure, Outcome, ScoringRequest, Stream
from scorehost.wire.signals import INTERRUPT_SIGNAL
from scorehost.worker.own_debuggers import watch_imports

LONG: Final = 5.0
"""Seconds after which a person is told which request it is that takes so long."""
_AGAIN: Final = 0.05
"""Seconds until a script that is still inside is interrupted once more."""
_LOOK_EVERY: Final = 0.2
"""Seconds between two looks whether the process is there: one that it forked may outlive it."""


class StartFailed(Exception):
    """The script cannot score; the text says why."""


@dataclass(frozen=True)
class Scored:
    """What became of one request.

    Parameters
    ----------
    outcome : as it is compared.
    error : type, message and frames, when it failed.
    """

    outcome: dict[str, Any]
    error: dict[str, Any] | None = None


class Replayer:
    """Scores requests, in one process after the other if they end it.

    Parameters
    ----------
    settings : script and limits.
    debugger : wait for an editor before the script is imported; nothing is too slow then.
    tell : gets lines for a person.
    """

    def __init__(self, settings: Settings, *, debugger: bool, tell: Callable[[str], None]) -> None:
        self.settings = settings
        self._debugger, self._tell = debugger, tell
        self._process: _Process | None = None

    def score(self, record: Mapping[str, Any]) -> Scored:
        """Score one recorded request.

        Raises
        ------
        StartFailed
            The script does not start.
        """
        if self._process is None:
            self._process = _Process(self.settings, debugger=self._debugger)
            self._process.wait_until_loaded()
        process = self._process
        process.send(record)
        try:
            return self._answer(process, record["id"])
        finally:
            if process.ended:
                self._process = None

    def close(self) -> None:
        """End the process that is left."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _answer(self, process: _Process, request_id: str) -> Scored:
        limit = self.settings.scoring_timeout_ms / 1000
        begun = time.monotonic()
        until = float("inf") if self._debugger else begun + limit
        told = process.hear(min(begun + LONG, until))
        if told is None and not process.ended and time.monotonic() < until:
            left = "" if self._debugger else f"; SCORING_TIMEOUT_MS ends it after {limit:g} s"
            self._tell(f"{request_id} takes longer than {LONG:g} s{left}")
            told = process.hear(until)
        if told is not None:
            return Scored(told["outcome"], told["error"])
        if process.ended:
            return _failed(process, 500, "WorkerLost", process.end)
        grace = self.settings.interrupt_grace
        told = process.interrupt(grace)
        text = f"The deadline of {self.settings.scoring_timeout_ms} ms has passed."
        if told is None:
            text += f" It did not come back to Python within {grace:g} s, and was killed."
        return _failed(process, 504, "DeadlineExceeded", text, told)


def _failed(
    process: _Process, status: int, kind: str, text: str, told: dict[str, Any] | None = None
) -> Scored:
    """The outcome that a server would have recorded: of a stream that was cut, its status."""
    error = {**((told or {}).get("error") or {"frames": []}), "type": kind, "message": text}
    if process.streaming is not None:
        return Scored(outcome_of(*process.streaming, b"", kind), error)
    body = json.dumps({"message": text}).encode()
    return Scored(outcome_of(status, "application/json", body, kind), error)


class _Process:
    """The parent's side of one process."""

    def __init__(self, settings: Settings, *, debugger: bool) -> None:
        self._socket, theirs = socket.socketpair()
        self._stacks = os.memfd_create("scorehost-stacks", os.MFD_CLOEXEC)
        self._rest = b""
        self.ended = False
        self.end = ""
        self.streaming: tuple[int, str] | None = None
        sys.stdout.flush()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._socket.close()
            _be_the_process(theirs, self._stacks, parent, settings, debugger=debugger)
        theirs.close()

    def wait_until_loaded(self) -> None:
        """Wait until it can score.

        Raises
        ------
        StartFailed, UsageError
            It cannot.
        """
        told = self.hear(float("inf"))
        if told is None:
            raise StartFailed(f"The script did not start: {self.end}")
        if "usage" in told or "report" in told:
            self.kill()
        if "usage" in told:
            raise UsageError(told["usage"])
        if "report" in told:
            raise StartFailed(told["report"])

    def send(self, record: Mapping[str, Any]) -> None:
        """Give it a request."""
        self.streaming = None
        with contextlib.suppress(OSError):  # its end is noticed when it is heard
            self._socket.sendall(json.dumps(record).encode() + b"\n")

    def hear(self, until: float) -> dict[str, Any] | None:
        """What it tells next; None when its time is up or it has ended."""
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                told: dict[str, Any] = json.loads(line)
                if "streaming" not in told:
                    return told
                self.streaming = (told["streaming"]["status"], told["streaming"]["content_type"])
            elif self.ended or time.monotonic() >= until or not self._receive(until):
                return None

    def _receive(self, until: float) -> bool:
        """Read some; False when nothing more comes."""
        self._socket.settimeout(max(0.001, min(_LOOK_EVERY, until - time.monotonic())))
        try:
            data = self._socket.recv(1 << 20)
        except TimeoutError:
            return not self._reap(os.WNOHANG)
        except OSError:  # it ended with a request unread
            data = b""
        if not data:
            self.kill()  # it is ending, or will never be heard again
        self._rest += data
        return bool(data)

    def interrupt(self, grace: float) -> dict[str, Any] | None:
        """Interrupt the script until it tells where it was, or kill it."""
        until = time.monotonic() + grace
        while not self.ended and time.monotonic() < until:
            os.kill(self._pid, INTERRUPT_SIGNAL)
            told = self.hear(min(until, time.monotonic() + _AGAIN))
            if told is not None:
                return told
        self.kill()
        return None

    def kill(self) -> None:
        """End it."""
        if not self.ended:
            os.kill(self._pid, signal.SIGKILL)
            self._reap(0)

    def _reap(self, options: int) -> bool:
        """Note its end; whether it has come."""
        pid, status = os.waitpid(self._pid, options)
        if pid == 0:
            return False
        self.ended = True
        size = os.fstat(self._stacks).st_size
        stacks = os.pread(self._stacks, size, 0).decode("utf-8", "replace")
        self.end = explain_exit(os.waitstatus_to_exitcode(status), stacks=stacks).text
        os.close(self._stacks)
        self._socket.close()
        return True


# -- in the process -------------------------------------------------------------------------


def _be_the_process(
    channel: socket.socket, stacks: int, parent: int, settings: Settings, *, debugger: bool
) -> NoReturn:
    """Load the script and score, then end without a way back into the parent's code."""
    status = 1
    try:
        from scorehost.worker.channel import end_with_parent

        end_with_parent(parent)
        faulthandler.enable(stacks, all_threads=True)
        sys.stdout.flush()
        os.dup2(2, 1)  # results are the parent's to print, what the script prints is no result
        _Scoring(channel, settings, debugger=debugger).run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


class _Scoring:
    """The script, and one request after the other."""

    def __init__(self, channel: socket.socket, settings: Settings, *, debugger: bool) -> None:
        self._channel, self._settings, self._debugger = channel, settings, debugger
        self._pid = os.getpid()
        self._inside = False

    def run(self) -> None:
        """Load, then score until the parent hangs up."""
        settings = self._settings
        try:
            if self._debugger:
                wait_for_editor(settings.debug_port)
            else:
                watch_imports(None)
            script = load(settings)
        except UsageError as error:
            self._tell({"usage": str(error)})
            return
        except EntryScriptError as error:
            self._tell({"report": report(error, settings)})
            return
        signal.signal(INTERRUPT_SIGNAL, self._interrupt)
        pipeline = Pipeline(script, nan=settings.nan, explain=True)
        self._tell({"loaded": True})
        for line in self._channel.makefile("rb"):
            scored = self._scored(pipeline, json.loads(line))
            sys.stdout.flush()
            if os.getpid() != self._pid:
                return  # the script forked; only its parent may answer
            self._tell({"outcome": scored.outcome, "error": scored.error})
        script.loop.close()

    def _tell(self, document: Mapping[str, Any]) -> None:
        self._channel.sendall(json.dumps(document, default=str).encode() + b"\n")

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._inside:
            self._inside = False
            raise Interrupted

    def _scored(self, pipeline: Pipeline, record: Mapping[str, Any]) -> Scored:
        request = _request(record)
        try:
            self._inside = True
            outcome = pipeline.score(request)
            self._inside = False
            return self._described(outcome)
        except Interrupted as error:  # the parent knows what became of it, not where it was
            return Scored({}, self._detail(error))

    def _described(self, outcome: Outcome) -> Scored:
        if isinstance(outcome, Failure):
            body = json.dumps({"message": outcome.message}).encode()
            described = outcome_of(outcome.status, "application/json", body, outcome.error_type)
            return Scored(described, outcome.detail)
        if isinstance(outcome, Stream):
            return self._streamed(outcome)
        return Scored(outcome_of(outcome.status, outcome.content_type, outcome.body))

    def _streamed(self, stream: Stream) -> Scored:
        """A whole stream; of an error in it no more is seen than that it was cut."""
        begun = {"status": stream.status, "content_type": stream.content_type}
        self._tell({"streaming": begun})
        beginning, size, error = b"", 0, None
        try:
            self._inside = True
            for chunk in stream.chunks:
                size += len(chunk)
                beginning += chunk[: LARGEST_ANSWER - len(beginning)]
            self._inside = False
        except (Exception, SystemExit, KeyboardInterrupt) as raised:
            self._inside = False
            error = raised
        finally:
            close = getattr(stream.chunks, "close", None)
            if close is not None:
                close()
        kind = "stream" if error is not None else ""
        described = outcome_of(stream.status, stream.content_type, beginning, kind)
        described["bytes"] = size
        return Scored(described, self._detail(error) if error is not None else None)

    def _detail(self, error: BaseException) -> dict[str, Any]:
        return failure_of(error, "run", self._settings.root).detail


def _request(record: Mapping[str, Any]) -> ScoringRequest:
    headers = [(name, value) for name, value in record["headers"]]
    content_type = next((v for name, v in headers if name.lower() == "content-type"), "")
    return ScoringRequest.full(
        record["method"],
        record["target"],
        headers,
        content_type,
        as_bytes(record["body"]),
        record["remote_address"],
    )


def load(settings: Settings) -> EntryScript:
    """Load the script as a worker does."""
    from scorehost.worker.logs import set_up_logging
    from scorehost.worker.process import set_environment

    set_environment(settings)
    set_up_logging(settings.log_level, settings.root, settings.script)
    script = load_entry_script(settings.script, settings.root)
    run_init(script)
    return script


def report(error: EntryScriptError, settings: Settings) -> str:
    """Why the script did not start."""
    from scorehost.diagnosis.report import report_exception

    made = report_exception(
        error, stage=error.stage, script=settings.script, app_root=settings.root
    )
    return made.text()


def wait_for_editor(port: int) -> None:
    """Listen, and wait until a client has attached."""
    try:
        import debugpy
    except ModuleNotFoundError as error:
        raise MissingExtra("--debugger", "debugpy", "debug") from error
    try:
        debugpy.listen(("127.0.0.1", port))
    except (OSError, RuntimeError) as error:
        raise UsageError(f"The debugger cannot listen on port {port}: {error}.") from error
    print(f"Waiting for an editor on 127.0.0.1:{port} …", file=sys.stderr, flush=True)
    debugpy.wait_for_client()
    answer_as_done(debugpy, port)
