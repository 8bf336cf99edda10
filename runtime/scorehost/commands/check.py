"""``scorehost check``: all that serving does up to the first answer, without a port.

The script runs in the worker that would serve it, so that ``os._exit``, a crash in native code or
an ``init()`` that never ends are explained as well. Fit for CI and for the last step of an image's
build: status 0 when all went well, 2 for what cannot be used, 3 when the script failed.
"""

from __future__ import annotations

import json
import mimetypes
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, TextIO

from scorehost.commands.arguments import CommandLine
from scorehost.commands.one_worker import OneWorker, Result, StartFailed
from scorehost.diagnosis.report import Report, report_death
from scorehost.errors import UsageError
from scorehost.escaping import harmless
from scorehost.interpreter import interpreter_of
from scorehost.model_path import MODELS_FOLDER, list_models
from scorehost.scoring.failure import report_of
from scorehost.scoring.samples import JSON, sample_request
from scorehost.settings import Settings
from scorehost.sources import resolve
from scorehost.wire.messages import Failure

FAILED_STATUS = 3

LABELS = {
    "python": "python",
    "start": "start",
    "read": "read",
    "import": "import",
    "signature": "signatures",
    "models": "models",
    "init()": "init()",
    "swagger": "swagger",
    "run": "run(sample)",
    "encode": "encode",
}
"""The steps in their order, as they are shown."""

NOTICED = 0.1
"""Seconds from which a step's time is shown."""

MOST_CHUNKS = 1000
"""A generator may never end; this many chunks show that it streams."""

SHOWN_OF_RESULT = 200
"""Bytes of an answer that a person sees."""

LARGEST_ANSWER = 1 << 20
"""Bytes of an answer that --json hands on."""

UNFIT = "run() does not accept the sample. Pass another with --sample FILE, or change run()."

MARKS = {"done": "✓", "failed": "✗", "skipped": "-", "warning": "!"}
ASCII_MARKS = {"done": "ok", "failed": "FAILED", "skipped": "-", "warning": "!"}


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Check one script; status 3 when it failed."""
    line = CommandLine("check", takes_script=True)
    line.own.add_argument(
        "--sample", metavar="FILE", help="File with a request body to send to run()."
    )
    line.own.add_argument("--json", action="store_true", help="Print JSON.")
    parsed = line.read(arguments)
    if parsed is None:
        return 0
    sample = read_sample(parsed.own.sample)
    resolved = resolve(parsed.flags, environ, spelling=parsed.spelling)
    log = Log(sys.stderr if parsed.own.json else sys.stdout, quiet=parsed.own.json)
    for warning in resolved.warnings:
        log.warn(warning)
    report = Check(resolved.settings, sample, environ, log).run()
    if parsed.own.json:
        print(json.dumps(as_data(resolved.settings, log, report), indent=2))
    else:
        print(conclusion(resolved.settings, log, report))
    return 0 if report is None else FAILED_STATUS


@dataclass(frozen=True)
class Sample:
    """A request to try: where its body is from, and its media type."""

    origin: str
    content_type: str
    body: bytes


def read_sample(file: str | None) -> Sample | None:
    """Read the sample that was given, if one was."""
    if file is None:
        return None
    try:
        body = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"Cannot read the sample {file}: {error.strerror}.") from error
    content_type = mimetypes.guess_type(file)[0] or "application/octet-stream"
    return Sample(str(Path(file).absolute()), content_type, body)


class Check:
    """One script, from reading it to its first answer.

    Parameters
    ----------
    settings : as serving would have them.
    sample : the request to try; None for the script's own, if it has one.
    environ : the environment of the script.
    log : hears of each step and each line of output.
    """

    def __init__(
        self, settings: Settings, sample: Sample | None, environ: Mapping[str, str], log: Log
    ) -> None:
        self._settings, self._sample, self._environ, self._log = settings, sample, environ, log
        self._step = "start"
        self._began = time.monotonic()

    def run(self) -> Report | None:
        """Take step after step; returns the report when one fails."""
        python = interpreter_of(self._settings)
        if not python.is_own:
            self._log.step({"step": "python", "state": "done", "detail": str(python)})
        worker = OneWorker(self._settings, self._environ, self)
        try:
            description = worker.wait_until_ready()
        except StartFailed as failed:
            worker.close()
            return self._failed(failed.report)
        try:
            self._described(description)
            return self._try(worker, description)
        finally:
            worker.close()

    # -- as the worker's listener -------------------------------------------------------------

    def stage(self, stage: str, facts: Mapping[str, Any]) -> None:
        """The worker enters a stage: the step before is done."""
        if self._step == stage:
            return
        if self._step == "read":
            self._done(str(self._settings.script))
        elif facts:
            self._done(called(facts))
            self._look_at_models()
        elif self._step != "start":
            self._done()
        self._begin("swagger" if stage == "describe" else stage)

    def wrote(self, line: str) -> None:
        """The script has written a line."""
        self._log.script_wrote(line)

    # -- steps --------------------------------------------------------------------------------

    def _look_at_models(self) -> None:
        self._begin("models")
        models = list_models(self._settings.root)
        unusable = [f"{model.name}: {model.note}" for model in models if model.path is None]
        named = ", ".join(
            f"{model.name}:{model.versions[-1]}" for model in models if model.path is not None
        )
        folder = self._settings.root / MODELS_FOLDER
        self._done(f"{named or 'none'} in {folder}", warnings=unusable)

    def _described(self, description: Mapping[str, Any]) -> None:
        versions = ", ".join(description["documents"])
        reason = description["reason"]
        generic = f"\ngeneric: {reason}" if reason else ""
        self._done(f"versions {versions}{generic}", warnings=list(description["warnings"]))

    def _try(self, worker: OneWorker, description: Mapping[str, Any]) -> Report | None:
        sample = self._sample
        own = description["sample"]
        if sample is None and own is not None:
            sample = Sample("the decorators' own sample", JSON, own.encode())
        if sample is None:
            self._step = "run"
            self._tell("skipped", detail="no sample; pass one with --sample FILE")
            return None
        self._begin("run")
        request = sample_request(sample.body, sample.content_type)
        result = worker.score(request, most_chunks=MOST_CHUNKS)
        failure = result.failure
        returned = result.run_ns >= 0 or (failure is not None and failure.stage == "encode")
        if returned:
            took = f", run() took {result.run_ns / 1e6:.1f} ms" if result.run_ns >= 0 else ""
            self._done(sample.origin + took, at=result.began)
            self._begin("encode", at=result.began)
        if result.is_late:
            return self._failed(self._too_late(result))
        if result.end is not None:
            return self._failed(Report.from_dict(result.end.report))
        if failure is not None:
            return self._failed(self._report_of(failure))
        return self._answered(result)

    def _answered(self, result: Result) -> Report | None:
        kind = f"{result.status} {result.content_type}"
        if result.chunks >= 0:
            self._done(f"{kind}, {counted(result.chunks, 'chunk')}")
            return None
        shown = f"{kind}, {counted(result.size, 'byte')}: {excerpt(result.body)}".removesuffix(": ")
        if result.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            failure = Failure(result.status, "run", "", f"run() answered the sample with {shown}")
            return self._failed(self._report_of(failure))
        self._done(shown, answer=answer_as_data(result))
        return None

    def _report_of(self, failure: Failure) -> Report:
        return report_of(failure, self._settings.script, unfit=UNFIT)

    def _too_late(self, result: Result) -> Report:
        """Return the report on a sample that was not answered in time."""
        settings = self._settings
        cause = (
            f"The sample was not answered after {settings.scoring_timeout_ms} ms "
            "(SCORING_TIMEOUT_MS)."
        )
        hint = ""
        if result.end is not None:
            grace = f"{settings.interrupt_grace:g} s"
            cause += f" It did not stop within {grace} after that, and was killed."
            hint = str(result.end.report.get("hint", ""))
        return report_death(
            stage=self._step, script=settings.script, cause=cause, hint=hint,
            stacks=result.stacks, output=result.output, app_root=settings.root,
        )  # fmt: skip

    # -- telling ------------------------------------------------------------------------------

    def _begin(self, step: str, at: float | None = None) -> None:
        self._step = step
        self._began = time.monotonic() if at is None else at

    def _done(self, detail: str = "", at: float | None = None, **facts: Any) -> None:
        seconds = (time.monotonic() if at is None else at) - self._began
        self._tell("done", detail=detail, seconds=seconds, **facts)

    def _failed(self, report: Report) -> Report:
        if self._step == "start" and report.stage != "starting":
            self._step = "read"  # what the worker prepares before it reads the script
        self._tell("failed")
        return report

    def _tell(self, state: str, **facts: Any) -> None:
        self._log.step({"step": self._step, "state": state, **facts})


@dataclass
class Log:
    """What happened, printed while it happens.

    Parameters
    ----------
    stream : where it is printed.
    quiet : print only what the script itself writes.
    """

    stream: TextIO
    quiet: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    answer: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.marks = MARKS if can_print("✓✗│", self.stream) else ASCII_MARKS
        self._bar = "│" if self.marks is MARKS else "|"

    def step(self, event: Mapping[str, Any]) -> None:
        """A step was done, failed or had nothing to do."""
        detail = event.get("detail", "")
        seconds = round(event.get("seconds", 0.0), 3)
        warnings = event.get("warnings", [])
        told = {"detail": detail.replace("\n", "; "), "seconds": seconds, "warnings": warnings}
        self.steps.append({"step": event["step"], "state": event["state"], **told})
        slow = f"({seconds:.1f} s)" if seconds >= NOTICED else ""
        first, *others = detail.split("\n")
        self.answer = event.get("answer", self.answer)
        self._print(event["state"], f"{LABELS[event['step']]:12} {first} {slow}")
        for line in others:
            self._print("", f"{'':12} {line}")
        for warning in warnings:
            self._print("warning", f"{'':12} {warning}")

    def warn(self, text: str) -> None:
        """Something is odd about the settings."""
        self.warnings.append(text)
        self._print("warning", text)

    def script_wrote(self, line: str) -> None:
        self.output.append(line)
        line = harmless(line)
        print(line if self.quiet else f"  {self._bar} {line}", file=self.stream, flush=True)

    def _print(self, state: str, text: str) -> None:
        if not self.quiet:
            width = max(map(len, self.marks.values()))
            mark = f"{self.marks.get(state, ''):{width}}"
            print(harmless(f"{mark} {text}".rstrip()), file=self.stream, flush=True)


def conclusion(settings: Settings, log: Log, report: Report | None) -> str:
    """The last thing that is said."""
    if report is not None:
        return "\n" + report.text(ascii_only=log.marks is ASCII_MARKS)
    skipped = log.steps[-1]["state"] == "skipped"
    tried = "no sample was tried" if skipped else "the sample was answered"
    return f"\n{settings.script.name} is ready to serve; {tried}."


def as_data(settings: Settings, log: Log, report: Report | None) -> dict[str, Any]:
    """Everything, as JSON."""
    return {
        "ok": report is None,
        "script": str(settings.script),
        "stage": None if report is None else report.stage,
        "steps": log.steps,
        "warnings": log.warnings,
        "output": log.output,
        "answer": log.answer,
        "report": None if report is None else report.to_dict(),
    }


def can_print(text: str, stream: TextIO) -> bool:
    """Whether a stream's encoding has these characters."""
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def answer_as_data(result: Result) -> dict[str, Any]:
    """Return an answer for machines."""
    body = result.body[:LARGEST_ANSWER].decode("utf-8", "replace")
    return {"status": result.status, "content_type": result.content_type, "body": body}


def called(style: Mapping[str, Any]) -> str:
    """Say how the server calls ``run()``."""
    headers = ", request_headers" if style["wants_headers"] else ""
    kinds: dict[str, Callable[[], str]] = {
        "plain": lambda: f"run({style['data_parameter']}{headers}) gets the body as text",
        "typed": lambda: "run() gets the values that @input_schema names",
        "raw": lambda: f"run({style['data_parameter']}{headers}) gets the HTTP request",
    }
    return "init(); " + kinds[style["style"]]()


def counted(number: int, what: str) -> str:
    """Write a number of things."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def excerpt(body: bytes) -> str:
    """The beginning of a result."""
    text = body[:SHOWN_OF_RESULT].decode("utf-8", "replace")
    return text + ("…" if len(body) > SHOWN_OF_RESULT else "")
