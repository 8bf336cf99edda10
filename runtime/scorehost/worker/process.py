"""The process that runs the entry script, one request at a time, on its main thread.

It is started by the front with its sockets open and its settings in the first packet. It tells
the front each stage of starting, then that it is ready or what failed, and then begins one
request after the other until the front closes the socket. With preload, one such process (the
loader) runs ``init()`` and forks the scoring workers, which inherit the loaded model.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from scorehost.entry_script import EntryScript, load_entry_script, run_init
from scorehost.errors import EntryScriptError, ResultNotEncodable, RunFailed
from scorehost.model_path import resolve_model_dir
from scorehost.scoring.invocation import Interrupted
from scorehost.scoring.pipeline import Pipeline, uses_flask
from scorehost.settings import Settings
from scorehost.wire import answers, requests
from scorehost.wire.messages import Failure, ScoringRequest, Stream
from scorehost.worker.channel import Channel, end_with_parent
from scorehost.worker.interrupts import Interrupts
from scorehost.worker.logs import set_up_logging
from scorehost.worker.output import Output
from scorehost.worker.own_debuggers import watch_imports

if TYPE_CHECKING:
    from scorehost.dev.debugger import Debugger
    from scorehost.diagnosis.report import Report

EXIT_FAILED: Final = 3

_WHILE_LOADING: Final = 10_000
"""Python's own threshold makes 50 collections of importing numpy, most of which stays."""


def main() -> None:
    """Run as the worker whose descriptors and parent stand on the command line."""
    usual, *others = gc.get_threshold()
    gc.freeze()
    gc.enable()
    gc.set_threshold(_WHILE_LOADING, *others)
    *files, parent = (int(word) for word in sys.argv[1:6])
    end_with_parent(parent)
    channel = Channel(*files)
    first = channel.reader.next()
    if not isinstance(first, requests.Control):
        return
    document = orjson.loads(first.body)
    settings = Settings.from_json(document["settings"])
    sys.argv = [str(settings.script)]  # a script that parses arguments finds none of ours
    worker = Worker(channel, settings)
    if not worker.start(warm_up=document.get("warm_up", False), first=document.get("first", True)):
        worker.leave(EXIT_FAILED)
    if gc.get_threshold()[0] == _WHILE_LOADING:  # the script has not set its own
        gc.set_threshold(usual, *others)
    if document["role"] == "loader":
        from scorehost.worker.loader import Loader

        if not Loader(channel, worker.adopt).run():
            return
    worker.announce()
    worker.run()


def let_batches_form() -> None:
    """Ask the kernel not to interrupt the front whenever a request makes this thread runnable.

    Where both share a processor, the front then writes all it has before the worker begins, and
    caches stay warm: half the processor time for each request (docs/decisions/hot-path.md). An
    idle processor begins at once as before, and the share of a busy one stays the same. Threads
    and processes inherit it from ``run()``, not from ``init()`` (sched(7)).
    """
    with contextlib.suppress(OSError, AttributeError):  # refused by a sandbox; not Linux
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class Worker:
    """One entry script, loaded and initialised, and its loop.

    Parameters
    ----------
    channel : where requests come from and answers go.
    settings : as the front has them.
    """

    def __init__(self, channel: Channel, settings: Settings) -> None:
        self._channel = channel
        self.settings = settings
        self._output = Output(channel.shared)
        self._interrupts = Interrupts(channel.shared, channel.stacks)
        self._stage = "read"
        self._pipeline: Pipeline | None = None
        self._description = b""
        self._is_a_fork = False
        self._sample: object = None
        self._debugger: Debugger | None = None

    # -- starting -----------------------------------------------------------------------------

    def start(self, *, warm_up: bool = False, first: bool = True) -> bool:
        """Load the script and run ``init()``; tell the front how it went.

        Parameters
        ----------
        warm_up : answer the script's own sample before it is ready.
        first : whether no other worker was started before.
        """
        self._output.install()
        self._interrupts.install()
        os.register_at_fork(after_in_child=self._note_fork)
        settings = self.settings
        began = time.monotonic()
        try:
            set_environment(settings)
            set_up_logging(settings.log_level, settings.root, settings.script)
            self._set_up_debugging(first)
            script = load_entry_script(settings.script, settings.root, self._tell_stage)
            self._tell_stage("init()")
            run_init(script)
            self._tell_stage("describe")
            self._pipeline = Pipeline(script, nan=settings.nan, explain=settings.debug)
            self._description = self._describe(script, time.monotonic() - began)
        except BaseException as error:
            self._tell_failure(error)
            return False
        if warm_up and not self._warm_up():
            return False
        gc.collect()
        gc.freeze()  # the model never becomes garbage: don't walk it at every collection
        return True

    def _set_up_debugging(self, first: bool) -> None:
        """Only what was asked for; the rest is not even imported."""
        settings, shared = self.settings, self._channel.shared
        if settings.reload:
            # Python takes a cached module for current that was saved again within the same second
            # and has the same size: "k = 1" and "k = 2" (importlib, pyc files by time).
            sys.dont_write_bytecode = True
        if settings.debug or settings.debug_on_demand:
            from scorehost.dev.debugger import Debugger

            self._debugger = Debugger(settings, shared)
            self._debugger.set_up(self._tell_stage, wait=first)
        if not settings.debug:
            watch_imports(shared)

    def _warm_up(self) -> bool:
        """Answer the script's own sample, if it has one; a reload must not switch to less."""
        if self._sample is None:
            return True
        from scorehost.dev.warming import warm_up

        assert self._pipeline is not None  # noqa: S101 - run() comes after start()
        self._tell_stage("warm-up")
        report = warm_up(self._pipeline, self._sample, self.settings.script)
        if report is not None:
            self._send_report(report)
        return report is None

    def announce(self) -> None:
        """Tell the front that this process can score."""
        self._channel.send(answers.pack_frame(answers.READY, os.getpid(), self._description))

    def _tell_stage(self, stage: str) -> None:
        self._stage = stage
        self._channel.send(answers.pack_frame(answers.STAGE, body=stage.encode()))

    def _describe(self, script: EntryScript, seconds: float) -> bytes:
        from scorehost.describing.describe import describe

        description = describe(script, self.settings)
        self._sample = description.sample
        for warning in description.warnings:
            logging.getLogger("scorehost").warning(warning)
        return orjson.dumps(
            {
                "style": script.style,
                "full": needs_everything(script),
                "seconds": seconds,
                "documents": description.documents,
                "reason": description.reason,
            },
            default=str,
        )

    def _tell_failure(self, error: BaseException) -> None:
        self._send_report(self._report(error))

    def _send_report(self, report: Report) -> None:
        self._output.end()
        self._channel.send(
            answers.pack_frame(answers.FAILED, body=orjson.dumps(report.to_dict(), default=str))
        )

    def _report(self, error: BaseException) -> Report:
        from scorehost.diagnosis.report import report_exception

        stage = error.stage if isinstance(error, EntryScriptError) else self._stage
        return report_exception(
            error, stage=stage, script=self.settings.script, app_root=self.settings.root
        )

    # -- scoring ------------------------------------------------------------------------------

    def run(self) -> None:
        """Begin one request after the other until the front closes its end."""
        let_batches_form()
        following = self._channel.reader.next
        while True:
            packet = following()
            if isinstance(packet, tuple):
                self._score(*packet)
            elif packet is None or packet.kind == requests.STOP:
                return

    def _score(self, number: int, request_id: bytes, request: ScoringRequest) -> None:
        assert self._pipeline is not None  # noqa: S101 - run() comes after start()
        channel, output, interrupts = self._channel, self._output, self._interrupts
        channel.shared.begin(number, time.monotonic_ns())
        output.begin(request_id)
        try:
            interrupts.interruptible = number
            if channel.shared.victim == number:
                raise Interrupted  # its time was over before it could begin
            outcome = self._pipeline.score(request)
            interrupts.interruptible = 0
        except Interrupted:
            outcome = interrupted()
        if self._is_a_fork:
            self.leave(EXIT_FAILED)  # the script forked; only its parent may answer
        if type(outcome) is Stream:
            self._stream(number, outcome)
        else:
            output.end()
            channel.shared.end()
            channel.send(answers.pack_outcome(number, outcome))

    def _stream(self, number: int, stream: Stream) -> None:
        channel = self._channel
        channel.send(answers.pack_stream_begin(number, stream))
        failure = ""
        try:
            for chunk in self._chunks(number, stream):
                channel.send(answers.pack_frame(answers.STREAM_CHUNK, number, chunk))
        except Interrupted:
            failure = interrupted().log
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            failure = self._stream_failure(error)
        finally:
            close = getattr(stream.chunks, "close", None)
            if close is not None:
                close()
        self._output.end()
        channel.shared.end()
        channel.send(answers.pack_frame(answers.STREAM_END, number, failure.encode()))

    def _chunks(self, number: int, stream: Stream) -> Iterator[bytes]:
        """Only the script's part of the stream is interrupted, never a frame half sent."""
        interrupts, chunks = self._interrupts, iter(stream.chunks)
        while True:
            try:
                interrupts.interruptible = number
                if self._channel.shared.victim == number:
                    raise Interrupted  # the signal came while a frame was on its way
                chunk = next(chunks, None)
            finally:
                interrupts.interruptible = 0
            if chunk is None:
                return
            yield chunk

    def _stream_failure(self, error: BaseException) -> str:
        if isinstance(error, ResultNotEncodable):
            return str(error)
        error = error.__cause__ if isinstance(error, RunFailed) and error.__cause__ else error
        from scorehost.diagnosis.report import format_exception

        return format_exception(error, self.settings.root)

    def leave(self, status: int) -> None:
        """End the process at once, its output flushed."""
        self._output.end()
        os._exit(status)

    # -- forking ------------------------------------------------------------------------------

    def _note_fork(self) -> None:
        self._is_a_fork = True

    def adopt(self, channel: Channel) -> None:
        """After a fork from the loader: work on sockets of one's own."""
        self._is_a_fork = False
        self._channel = channel
        self._output = Output(channel.shared)
        self._output.install()
        self._interrupts = Interrupts(channel.shared, channel.stacks)
        self._interrupts.install()
        if self._debugger is not None:
            self._debugger.shared = channel.shared


def interrupted() -> Failure:
    """What stands in for the outcome of a request that was interrupted."""
    return Failure(504, "run", "interrupted", log="interrupted", error_type="Interrupted")


def needs_everything(script: EntryScript) -> bool:
    """Whether the script can see more of a POST than its body."""
    return script.style != "plain" or script.wants_headers or uses_flask(script)


def set_environment(settings: Settings) -> None:
    """Give the script the variables that the contract promises it."""
    root = settings.root
    model_dir = settings.model_dir or resolve_model_dir(root)
    given = settings.changed_variables()
    given |= {
        "AML_APP_ROOT": str(root),
        "AZUREML_ENTRY_SCRIPT": settings.entry_script,
        "AML_APP_INSIGHTS_ENABLED": str(settings.app_insights_enabled).lower(),
    }
    if model_dir is not None:
        given["AZUREML_MODEL_DIR"] = str(Path(model_dir).absolute())
    os.environ.update(given)
