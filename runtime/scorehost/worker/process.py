"""The process that runs the entry script, one request at a time, on its main thread.

It is started by the front with its sockets open and its settings in the first packet. It tells
the front each stage of starting, then that it is ready or what failed, and then begins one
request after the other until the front closes the socket. With preload, one such process (the
loader) runs ``init()`` and forks the scoring workers, which inherit the loaded model.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scorehost import fast_json
from scorehost.entry_script import EntryScript, load_entry_script, run_init
from scorehost.errors import EntryScriptError
from scorehost.model_path import resolve_model_dir
from scorehost.scoring.interrupted import Interrupted
from scorehost.scoring.pipeline import Pipeline, may_use_flask
from scorehost.scoring.samples import sample_text
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
OTHER_VERSION: Final = (
    "Another version of scorehost has been installed while this server runs, and its processes do "
    "not understand each other any more. Restart the server."
)

_WHILE_LOADING: Final = 10_000
"""With Python's own threshold, importing numpy takes 50 collections, which free next to nothing."""


def main(words: Sequence[str]) -> None:
    """Run as the worker that the front has started.

    Parameters
    ----------
    words : four descriptors (``Channel`` names them), then the front's pid.
    """
    usual, *others = gc.get_threshold()
    gc.freeze()
    gc.enable()
    gc.set_threshold(_WHILE_LOADING, *others)
    *files, parent = map(int, words)
    end_with_parent(parent)
    channel = Channel(*files)
    first = channel.reader.next()
    if not isinstance(first, requests.Control):
        return
    document = fast_json.loads(first.body)
    if document.get("protocol") != requests.PROTOCOL:
        sys.exit(OTHER_VERSION)
    settings = Settings.from_json(document["settings"])
    sys.argv = [str(settings.script)]  # a script that parses arguments finds none of ours
    worker = Worker(channel, settings, Orders(**document.get("orders", {})))
    if not worker.start():
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
    caches stay warm: half the processor time for each request (docs/decisions/hot-path.md). On an
    idle processor the worker begins at once as before, and its share of a busy one stays the same.
    Threads and processes that ``run()`` starts inherit this, those of ``init()`` don't (sched(7)).
    """
    with contextlib.suppress(OSError, AttributeError):  # refused by a sandbox; not Linux
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


@dataclass(frozen=True)
class Orders:
    """What one worker is to do, besides the settings.

    Parameters
    ----------
    warm_up : answer the script's own sample before it is ready.
    first : no other worker was started before.
    alone : it was started by a command, not by a server. It waits before each stage until the
        command has heard of it, tells everything about failures, and opens no debugger for the
        script.
    debugger_port : wait for an editor on this port of 127.0.0.1 before the script is read.
    debugpy : the server's own debugpy, for an environment that has none that fits.
    """

    warm_up: bool = False
    first: bool = True
    alone: bool = False
    debugger_port: int = 0
    debugpy: dict[str, str] | None = None


class Worker:
    """One entry script, loaded and initialised, and the loop that scores with it."""

    _pipeline: Pipeline  # once start() has loaded the script

    def __init__(self, channel: Channel, settings: Settings, orders: Orders) -> None:
        self._channel = channel
        self.settings = settings
        self._orders = orders
        self._explains = settings.debug or orders.alone
        self._output = Output(channel.shared)
        self._interrupts = Interrupts(channel.shared, channel.stacks)
        self._stage = "read"
        self._description = b""
        self._is_a_fork = False
        self._sample: object = None
        self._debugger: Debugger | None = None

    # -- starting -----------------------------------------------------------------------------

    def start(self) -> bool:
        """Load the script and run ``init()``; tell the front how it went."""
        self._output.install()
        self._interrupts.install()
        os.register_at_fork(after_in_child=self._note_fork)
        settings = self.settings
        began = time.monotonic()
        try:
            set_environment(settings)
            set_up_logging(settings.log_level, settings.root, settings.script)
            self._set_up_debugging()
            script = load_entry_script(settings.script, settings.root, self._tell_stage)
            facts = {
                "style": script.style,
                "data_parameter": script.data_parameter,
                "wants_headers": script.wants_headers,
            }
            self._tell_stage("init()", facts)
            run_init(script)
            self._tell_stage("describe")
            self._pipeline = Pipeline(script, nan=settings.nan, explain=self._explains)
            self._description = self._describe(script, time.monotonic() - began)
        except BaseException as error:
            self._send_report(self._report(error))
            return False
        if self._orders.warm_up and not self._warm_up():
            return False
        gc.collect()
        gc.freeze()  # the model never becomes garbage: don't walk it at every collection
        return True

    def _set_up_debugging(self) -> None:
        """Set up the debugging that was asked for; the rest is not even imported."""
        settings, shared, orders = self.settings, self._channel.shared, self._orders
        if settings.reload:
            # A module that is saved again within the same second, at the same size ("k = 1" and
            # "k = 2"), would be taken from Python's cache (importlib, pyc files by time).
            sys.dont_write_bytecode = True
        if orders.debugger_port or settings.debug or settings.debug_on_demand:
            from scorehost.dev.debugger import Debugger

            self._debugger = Debugger(settings, shared, lent=orders.debugpy)
            if orders.debugger_port:
                self._debugger.wait_for_editor(orders.debugger_port, self._tell_stage)
                return
            self._debugger.set_up(self._tell_stage, wait=orders.first)
        if not settings.debug:
            watch_imports(None if orders.alone else shared)

    def _warm_up(self) -> bool:
        """Answer the script's own sample, if any: a reload must not switch to a broken script."""
        if self._sample is None:
            return True
        from scorehost.dev.warming import warm_up

        self._tell_stage("warm-up")
        report = warm_up(self._pipeline, self._sample, self.settings.script)
        if report is not None:
            self._send_report(report)
        return report is None

    def announce(self) -> None:
        """Tell the front that this process can score."""
        self._only_the_parent_goes_on()
        self._channel.send(answers.pack_frame(answers.READY, os.getpid(), self._description))

    def _tell_stage(self, stage: str, facts: Mapping[str, Any] | None = None) -> None:
        """Tell which stage begins, and what the one before has found out."""
        self._only_the_parent_goes_on()
        self._stage = stage
        if self._orders.alone:
            self._output.flush()
        meta = fast_json.dumps(facts) if facts else b""
        self._channel.send(answers.pack_frame(answers.STAGE, body=stage.encode(), meta=meta))
        if self._orders.alone:
            self._channel.reader.next()

    def _describe(self, script: EntryScript, seconds: float) -> bytes:
        from scorehost.describing.describe import describe

        description = describe(script, self.settings)
        self._sample = sample = description.sample
        return fast_json.dumps(
            {
                "style": script.style,
                "warnings": [*description.warnings, *filter(None, [fast_json.WARNING])],
                "sample": None if sample is None else sample_text(sample),
                "full": needs_everything(script),
                "seconds": seconds,
                "documents": description.documents,
                "reason": description.reason,
            },
            default=str,
        )

    def _send_report(self, report: Report) -> None:
        self._output.end()
        body = answers.to_json(report.to_dict())
        self._channel.send(answers.pack_frame(answers.FAILED, body=body))

    def _report(self, error: BaseException) -> Report:
        from scorehost.diagnosis.report import report_exception

        stage = error.stage if isinstance(error, EntryScriptError) else self._stage
        script, root = self.settings.script, self.settings.root
        return report_exception(error, stage=stage, script=script, app_root=root)

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
        channel, output, interrupts = self._channel, self._output, self._interrupts
        score = self._pipeline.score
        channel.shared.begin(number, time.monotonic_ns())
        output.begin(request_id)
        try:
            interrupts.interruptible = number
            if channel.shared.victim == number:
                interrupts.interruptible = 0  # or its signal, still to come, would raise after it
                raise Interrupted  # its time was over before it could begin
            outcome = score(request)
            interrupts.interruptible = 0
        except Interrupted as error:
            outcome = self._interrupted(error)
        if self._is_a_fork:
            self.leave(EXIT_FAILED)  # the script forked; only its parent may answer
        if type(outcome) is Stream:
            self._stream(number, outcome)
        else:
            output.end()
            channel.shared.end()
            try:
                frame = answers.pack_outcome(number, outcome)
            except MemoryError as error:
                frame = answers.pack_outcome(number, self._failure(error, "encode"))
            channel.send(frame)

    def _stream(self, number: int, stream: Stream) -> None:
        channel = self._channel
        channel.send(answers.pack_stream_begin(number, stream))
        failure = ""
        detail: dict[str, Any] = {}
        try:
            for chunk in self._chunks(number, stream):
                channel.send(answers.pack_frame(answers.STREAM_CHUNK, number, chunk))
        except Interrupted as error:
            failure, detail = "interrupted", self._interrupted(error).detail
        except BaseException as error:  # even sys.exit() ends only its request
            failure, detail = self._stream_failure(error)
        try:
            close = getattr(stream.chunks, "close", None)
            if close is not None:
                close()
        except BaseException as error:  # in a "finally" of the script's, which nobody waits for
            failure = failure or self._stream_failure(error)[0]
        self._output.end()
        channel.shared.end()
        channel.send(answers.pack_stream_end(number, failure, detail))

    def _chunks(self, number: int, stream: Stream) -> Iterator[bytes]:
        """Yield the chunks. Only the script is interrupted, never the sending of a frame."""
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

    def _stream_failure(self, error: BaseException) -> tuple[str, dict[str, Any]]:
        """Return what cut a stream off, for the log, and where, if that is wanted."""
        failure = self._failure(error, "encode")
        return failure.log, failure.detail if self._explains else {}

    def _interrupted(self, error: Interrupted) -> Failure:
        """Return the outcome of an interrupted request, and where it was, if that is wanted."""
        failure = Failure(504, "run", "interrupted", log="interrupted", error_type="Interrupted")
        if self._explains:
            failure.detail = self._failure(error, "run").detail
        return failure

    def _failure(self, error: BaseException, stage: str) -> Failure:
        from scorehost.scoring.failure import failure_of  # not before something has failed

        return failure_of(error, stage, self.settings.root)

    def leave(self, status: int) -> None:
        """End the process at once, its output flushed."""
        self._output.flush()
        os._exit(status)

    # -- forking ------------------------------------------------------------------------------

    def _only_the_parent_goes_on(self) -> None:
        """End this process if the script has forked it: only its parent speaks to the front."""
        if self._is_a_fork:
            self.leave(EXIT_FAILED)

    def _note_fork(self) -> None:
        self._is_a_fork = True
        self._output.forget()

    def adopt(self, channel: Channel) -> None:
        """Switch to this worker's own sockets, after a fork from the loader."""
        self._is_a_fork = False
        self._channel = channel
        self._output = Output(channel.shared)
        self._output.install()
        self._interrupts = Interrupts(channel.shared, channel.stacks)
        self._interrupts.install()
        if self._debugger is not None:
            self._debugger.shared = channel.shared


def needs_everything(script: EntryScript) -> bool:
    """Whether the script can see more of a POST than its body."""
    return script.style != "plain" or script.wants_headers or may_use_flask(script)


def set_environment(settings: Settings) -> None:
    """Give the script the variables that the contract promises it."""
    root = settings.root
    model_dir = settings.model_dir or resolve_model_dir(root)
    given = {
        **settings.changed_variables(),
        "AML_APP_ROOT": str(root),
        "AZUREML_ENTRY_SCRIPT": settings.entry_script,
        "AML_APP_INSIGHTS_ENABLED": str(settings.app_insights_enabled).lower(),
    }
    if model_dir is not None:
        given["AZUREML_MODEL_DIR"] = str(Path(model_dir).absolute())
    os.environ.update(given)
