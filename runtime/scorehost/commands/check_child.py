"""The process in which ``scorehost check`` runs the script, so that its end can be explained.

It does what a scoring worker does up to its first answer and tells the parent before and after
each step. It waits until the parent has heard: so what the script prints stands between the
right two lines, and a process that dies has told where.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from scorehost.entry_script import EntryScript, load_entry_script, run_init
from scorehost.errors import EntryScriptError
from scorehost.model_path import MODELS_FOLDER, list_models
from scorehost.settings import Settings
from scorehost.wire.messages import Answer, Failure, ScoringRequest, Stream
from scorehost.worker.channel import end_with_parent
from scorehost.worker.logs import set_up_logging
from scorehost.worker.own_debuggers import watch_imports
from scorehost.worker.process import set_environment

MOST_CHUNKS = 1000
"""A generator may never end; this many chunks show that it streams."""

SHOWN_OF_RESULT = 200
"""Bytes of an answer that a person sees."""

LARGEST_ANSWER = 1 << 20
"""Bytes of an answer that --json hands on."""

UNFIT = "The sample is not what run() takes: give another with --sample, or change run()."


def main() -> None:
    """Run as the child whose descriptors and parent stand on the command line."""
    told, heard, stacks, parent = (int(word) for word in sys.argv[1:5])
    if sys.platform == "linux":
        end_with_parent(parent)
    for descriptor in (told, heard, stacks):
        os.set_inheritable(descriptor, False)
    with os.fdopen(heard, "rb", buffering=0, closefd=False) as source:
        order = json.loads(source.readline())
    settings = Settings.from_json(order["settings"])
    sample = None if order["sample"] is None else Sample(**order["sample"])
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # as when serving
    faulthandler.enable(stacks, all_threads=True)
    Check(settings, sample, Teller(told, heard), stacks).run()


@dataclass(frozen=True)
class Sample:
    """A request to try: the file it is in and its media type."""

    file: str
    content_type: str

    def body(self) -> bytes:
        """What is in it."""
        return Path(self.file).read_bytes()


class Teller:
    """Tells the parent, and waits until it has heard."""

    def __init__(self, told: int, heard: int) -> None:
        self._told, self._heard = told, heard
        self.step = ""
        self._began = time.monotonic()

    def begin(self, step: str) -> None:
        """A step begins."""
        self.step = step
        self._tell(state="begin")
        self._began = time.monotonic()

    def done(self, detail: str = "", **facts: Any) -> None:
        """The step that began last went well."""
        self._tell(state="done", detail=detail, seconds=time.monotonic() - self._began, **facts)

    def skipped(self, step: str, reason: str) -> None:
        """A step has nothing to do."""
        self.step = step
        self._tell(state="skipped", detail=reason)

    def failed(self, report: dict[str, Any]) -> None:
        """The step that began last failed."""
        self._tell(state="failed", report=report)

    def end(self) -> None:
        """Everything went well."""
        self._tell(state="end")

    def _tell(self, **facts: Any) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        line = json.dumps({"step": self.step, **facts}, default=str) + "\n"
        with os.fdopen(self._told, "wb", closefd=False) as pipe:
            pipe.write(line.encode())
        if not os.read(self._heard, 1):
            raise SystemExit  # nobody listens any more


class Check:
    """One script, from reading it to its first answer.

    Parameters
    ----------
    settings : as serving would have them.
    sample : the request to try; None for the script's own, if it has one.
    teller : hears of each step.
    stacks : descriptor that takes the stacks when time is up.
    """

    def __init__(
        self, settings: Settings, sample: Sample | None, teller: Teller, stacks: int
    ) -> None:
        self.settings, self.sample, self.teller, self.stacks = settings, sample, teller, stacks
        self._failed = False

    def run(self) -> None:
        """Take step after step until one fails."""
        try:
            self._limit(self.settings.worker_timeout)
            script = self._load()
            self._limit(0)
            own_sample = self._describe(script)
            self._try(script, own_sample)
            if not self._failed:
                self.teller.end()
        except BaseException as error:
            self._limit(0)
            self._report(error)

    def _limit(self, seconds: float) -> None:
        """Write all stacks when this time is over, for the parent that ends it then; 0: never."""
        faulthandler.cancel_dump_traceback_later()
        if seconds:
            faulthandler.dump_traceback_later(seconds, file=self.stacks)

    def _report(self, error: BaseException) -> None:
        from scorehost.diagnosis.report import report_exception

        stage = error.stage if isinstance(error, EntryScriptError) else self.teller.step
        report = report_exception(
            error, stage=stage, script=self.settings.script, app_root=self.settings.root
        )
        self.teller.failed(report.to_dict())

    # -- the steps ------------------------------------------------------------------------

    def _load(self) -> EntryScript:
        settings, teller = self.settings, self.teller
        teller.begin("read")
        set_environment(settings)
        set_up_logging(settings.log_level, settings.root, settings.script)
        log_as_text()
        watch_imports(None)
        script = load_entry_script(settings.script, settings.root, self._loading)
        teller.done(called(script))
        self._look_at_models()
        teller.begin("init()")
        run_init(script)
        teller.done()
        return script

    def _loading(self, stage: str) -> None:
        if stage == self.teller.step:
            return
        self.teller.done(str(self.settings.script) if self.teller.step == "read" else "")
        self.teller.begin(stage)

    def _look_at_models(self) -> None:
        self.teller.begin("models")
        models = list_models(self.settings.root)
        unusable = [f"{model.name}: {model.note}" for model in models if model.path is None]
        named = ", ".join(
            f"{model.name}:{model.versions[-1]}" for model in models if model.path is not None
        )
        folder = self.settings.root / MODELS_FOLDER
        self.teller.done(f"{named or 'none'} in {folder}", warnings=unusable)

    def _describe(self, script: EntryScript) -> Any:
        from scorehost.describing.describe import describe

        self.teller.begin("swagger")
        description = describe(script, self.settings)
        versions = ", ".join(description.documents)
        generic = f"\ngeneric: {description.reason}" if description.reason else ""
        self.teller.done(f"versions {versions}{generic}", warnings=list(description.warnings))
        return description.sample

    def _try(self, script: EntryScript, own_sample: Any) -> None:
        from scorehost.scoring.pipeline import Pipeline

        request = self._request(own_sample)
        if request is None:
            self.teller.skipped("run", "none: give one with --sample FILE")
            return
        pipeline = Pipeline(script, nan=self.settings.nan)
        self._limit(self.settings.scoring_timeout_ms / 1000)
        self.teller.begin("run")
        outcome = pipeline.score(request)
        if isinstance(outcome, Failure):
            self._limit(0)
            self._fail(outcome)
            return
        took = f"run() took {outcome.run_ns / 1e6:.1f} ms"
        self.teller.done(f"{origin(self.sample)}, {took}")
        self.teller.begin("encode")
        self._finish(outcome)
        self._limit(0)

    def _request(self, own_sample: Any) -> ScoringRequest | None:
        if self.sample is not None:
            body, content_type = self.sample.body(), self.sample.content_type
        elif own_sample is not None:
            body, content_type = json.dumps(own_sample).encode(), "application/json"
        else:
            return None
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        return ScoringRequest.full("POST", "/score", headers, content_type, body, "127.0.0.1")

    def _finish(self, outcome: Answer | Stream) -> None:
        if isinstance(outcome, Stream):
            self._exhaust(outcome)
            return
        result = f"{outcome.status} {outcome.content_type}, {counted(len(outcome.body), 'byte')}"
        result = f"{result}: {excerpt(outcome.body)}".removesuffix(": ")
        if outcome.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self.teller.done(result, answer=answer_as_data(outcome))
        else:
            self._fail(
                Failure(outcome.status, "run", "", f"run() answered the sample with {result}")
            )

    def _exhaust(self, outcome: Stream) -> None:
        from scorehost.scoring.failure import failure_of

        chunks = iter(outcome.chunks)
        try:
            number = sum(1 for _ in itertools.islice(chunks, MOST_CHUNKS))
        except BaseException as error:
            self._fail(failure_of(error, "encode", self.settings.root))
            return
        self.teller.done(f"{outcome.status} {outcome.content_type}, {counted(number, 'chunk')}")

    def _fail(self, failure: Failure) -> None:
        if failure.stage == "encode" and self.teller.step == "run":
            self.teller.done(origin(self.sample))
            self.teller.begin("encode")
        from scorehost.scoring.failure import report_of

        self._failed = True
        report = report_of(failure, self.settings.script, unfit=UNFIT)
        self.teller.failed(report.to_dict())


def answer_as_data(answer: Answer) -> dict[str, Any]:
    """An answer for machines."""
    body = answer.body[:LARGEST_ANSWER].decode("utf-8", "replace")
    return {"status": answer.status, "content_type": answer.content_type, "body": body}


def log_as_text() -> None:
    """Until the script sets up logging, its records are lines that people can read."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.lastResort = handler


def called(script: EntryScript) -> str:
    """How the server calls ``run()``."""
    headers = ", request_headers" if script.wants_headers else ""
    kinds: dict[str, Callable[[], str]] = {
        "plain": lambda: f"run({script.data_parameter}{headers}) gets the body as text",
        "typed": lambda: "run() gets the values that @input_schema names",
        "raw": lambda: f"run({script.data_parameter}{headers}) gets the HTTP request",
    }
    return "init(); " + kinds[script.style]()


def origin(sample: Sample | None) -> str:
    """Where the sample came from."""
    return sample.file if sample is not None else "the decorators' own sample"


def counted(number: int, what: str) -> str:
    """A number of things."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def excerpt(body: bytes) -> str:
    """The beginning of a result."""
    text = body[:SHOWN_OF_RESULT].decode("utf-8", "replace")
    return text + ("…" if len(body) > SHOWN_OF_RESULT else "")
