"""``scorehost check``: all that serving does up to the first answer, without a port.

The script runs in a process of its own, so that ``os._exit``, a crash in native code or an
``init()`` that never ends are explained as well. Fit for CI and for the last step of an image's
build: status 0 when all went well, 2 for what cannot be used, 3 when the script failed.
"""

from __future__ import annotations

import json
import mimetypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from scorehost.commands.arguments import CommandLine
from scorehost.commands.check_process import CheckProcess
from scorehost.diagnosis.report import Report
from scorehost.errors import UsageError
from scorehost.settings import Settings
from scorehost.sources import resolve

FAILED_STATUS = 3

LABELS = {
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

MARKS = {"done": "✓", "failed": "✗", "skipped": "-", "warning": "!"}
ASCII_MARKS = {"done": "ok", "failed": "FAILED", "skipped": "-", "warning": "!"}


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Check one script; status 3 when it failed."""
    line = CommandLine("check", takes_script=True)
    line.own.add_argument(
        "--sample", metavar="FILE", help="A request's body; run() must answer it."
    )
    line.own.add_argument("--json", action="store_true", help="Answer with data.")
    parsed = line.read(arguments)
    if parsed is None:
        return 0
    sample = read_sample(parsed.own.sample)
    resolved = resolve(parsed.flags, environ, spelling=parsed.spelling)
    log = Log(sys.stderr if parsed.own.json else sys.stdout, quiet=parsed.own.json)
    for warning in resolved.warnings:
        log.warn(warning)
    report = CheckProcess(resolved.settings, sample, environ, log).run()
    if parsed.own.json:
        print(json.dumps(as_data(resolved.settings, log, report), indent=2))
    else:
        print(conclusion(resolved.settings, log, report))
    return 0 if report is None else FAILED_STATUS


def read_sample(file: str | None) -> dict[str, str] | None:
    """Which file, and of which media type."""
    if file is None:
        return None
    try:
        Path(file).open("rb").close()
    except OSError as error:
        raise UsageError(f"The sample {file} cannot be read: {error.strerror}.") from error
    content_type = mimetypes.guess_type(file)[0] or "application/octet-stream"
    return {"file": str(Path(file).absolute()), "content_type": content_type}


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
        self.steps.append(
            {
                "step": event["step"],
                "state": event["state"],
                "detail": detail.replace("\n", "; "),
                "seconds": seconds,
                "warnings": event.get("warnings", []),
            }
        )
        slow = f"({seconds:.1f} s)" if seconds >= NOTICED else ""
        first, *others = detail.split("\n")
        self.answer = event.get("answer", self.answer)
        self._print(event["state"], f"{LABELS[event['step']]:12} {first} {slow}")
        for line in others:
            self._print("", f"{'':12} {line}")
        for warning in event.get("warnings", []):
            self._print("warning", f"{'':12} {warning}")

    def warn(self, text: str) -> None:
        """Something is odd about the settings."""
        self.warnings.append(text)
        self._print("warning", text)

    def script_wrote(self, line: str) -> None:
        """The script wrote a line."""
        self.output.append(line)
        print(line if self.quiet else f"  {self._bar} {line}", file=self.stream, flush=True)

    def _print(self, state: str, text: str) -> None:
        if not self.quiet:
            width = max(map(len, self.marks.values()))
            mark = f"{self.marks.get(state, ''):{width}}"
            print(f"{mark} {text}".rstrip(), file=self.stream, flush=True)


def conclusion(settings: Settings, log: Log, report: Report | None) -> str:
    """The last thing that is said."""
    if report is not None:
        return "\n" + report.text(ascii_only=log.marks is ASCII_MARKS)
    skipped = log.steps[-1]["state"] == "skipped"
    tried = "no sample was tried" if skipped else "the sample was answered"
    return f"\n{settings.script.name} is fit to serve; {tried}."


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
