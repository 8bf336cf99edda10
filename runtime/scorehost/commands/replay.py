"""``scorehost replay``: recorded requests, scored again by the script as it is now.

There is no server: the worker that would serve is asked, one request after the other; with
``--debugger`` it waits for an editor first. A request that ends the worker, or never ends, is
the outcome of that request alone: the next one gets another process. A set of recorded requests is
a regression test: the status is 3 when one of them ends worse or otherwise than it did, or could
not be asked.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scorehost.commands.arguments import CommandLine
from scorehost.commands.one_worker import OneWorker, Result, StartFailed
from scorehost.dev.recording import (
    LARGEST_ANSWER,
    all_records,
    as_bytes,
    compare,
    find_records,
    outcome_of,
    read_record,
)
from scorehost.dev.script_debuggers import port_taken
from scorehost.errors import MissingExtra, UsageError
from scorehost.settings import Settings
from scorehost.sources import resolve
from scorehost.wire.messages import ScoringRequest

FAILED_STATUS = 3
LONG = 5.0
"""Seconds after which a person is told which request it is that takes so long."""
WORSE = frozenset({"broken", "changed"})
WORDS = {
    "same": "same",
    "fixed": "fixed",
    "broken": "BROKEN",
    "changed": "CHANGED",
}


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Replay what was asked for; status 3 when something is worse or other than it was."""
    line = CommandLine("replay", argument="ID|FILE|FOLDER …")
    line.parser.add_argument(
        "what", metavar="ID|FILE|FOLDER", nargs="*", help="Requests to replay."
    )
    line.own.add_argument("--all", action="store_true", help="Every recorded request.")
    line.own.add_argument("--json", action="store_true", help="Print JSON.")
    line.own.add_argument(
        "--debugger", action="store_true", help="Wait for an editor before the script is imported."
    )
    parsed = line.read(arguments)
    if parsed is None:
        return 0
    resolved = resolve(parsed.flags, environ, spelling=parsed.spelling)
    settings = resolved.settings
    records, damaged = readable(wanted(settings, parsed.own.what, every=parsed.own.all))
    asking = Asking(
        settings,
        environ,
        named=resolved.sources["entry_script"].kind != "default",
        debugger=parsed.own.debugger,
    )
    results = []
    failed = damaged
    try:
        for result in asking.results(records):
            results.append(result)
            failed |= result["verdict"] in WORSE
            if not parsed.own.json:
                print("\n".join(lines_of(result)), flush=True)
    except StartFailed as error:
        told(str(error))
        failed = True
    if parsed.own.json:
        print(json.dumps(results, indent=2, default=str))
    elif results:
        print(total(results))
    return FAILED_STATUS if failed else 0


def told(text: str) -> None:
    """Say something that is no result."""
    print(text, file=sys.stderr, flush=True)


def wanted(settings: Settings, what: Sequence[str], *, every: bool) -> Iterator[Path]:
    """The files to replay, oldest first.

    Raises
    ------
    UsageError
        There are none.
    """
    folder = settings.record_place
    if not what and not every:
        raise UsageError("Give a request id, a file or a folder, or use --all.")
    if every:
        yield from all_records(folder)
    for word in what:
        yield from find_records(folder, word)


def readable(files: Iterable[Path]) -> tuple[list[tuple[Path, dict[str, Any]]], bool]:
    """Read them; those of a set that can't be used are told and left out.

    Returns the records with their files, and whether some were left out.

    Raises
    ------
    UsageError
        None of them can be used.
    """
    read = [(file, _read(file)) for file in files]
    records = [(file, found) for file, found in read if isinstance(found, dict)]
    problems = [found for _, found in read if isinstance(found, str)]
    if not records:
        raise UsageError("\n".join(problems))
    for problem in problems:
        told(problem)
    return records, bool(problems)


def _read(file: Path) -> dict[str, Any] | str:
    try:
        return read_record(file)
    except UsageError as error:
        return str(error)


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


class Asking:
    """Asks the scripts.

    Parameters
    ----------
    settings : of this command.
    environ : the environment of the scripts.
    named : whether they name a script; otherwise each record's own is asked.
    debugger : wait for an editor first.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], *, named: bool, debugger: bool
    ) -> None:
        self._settings, self._environ, self._named = settings, environ, named
        self._debugger = debugger
        self._worker: OneWorker | None = None
        self._worker_settings = settings

    def results(
        self, records: Iterable[tuple[Path, Mapping[str, Any]]]
    ) -> Iterator[dict[str, Any]]:
        """Score and compare one after the other.

        Raises
        ------
        StartFailed
            A script does not start.
        """
        try:
            for file, record in records:
                yield compared(record, self._score(record), file)
        finally:
            self._close()

    def _score(self, record: Mapping[str, Any]) -> Scored:
        settings = self._settings_for(record)
        worker = self._worker_for(settings)
        result = worker.score(
            request_of(record),
            slow_after=LONG,
            is_slow=lambda: self._tell_of_slow(record["id"], settings),
        )
        if worker.ended:
            self._close()
        return scored(result, settings)

    def _worker_for(self, settings: Settings) -> OneWorker:
        """Return the worker of a script; a new one where the last has ended or had another."""
        if self._worker is not None and self._worker_settings != settings:
            self._close()
        if self._worker is None:
            port = editor_port(settings) if self._debugger else 0
            self._worker = OneWorker(settings, self._environ, Told(settings), debugger_port=port)
            self._worker_settings = settings
            self._worker.wait_until_ready()
        return self._worker

    def _close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _tell_of_slow(self, request_id: str, settings: Settings) -> None:
        limit = settings.scoring_timeout_ms / 1000
        left = "" if self._debugger else f"; SCORING_TIMEOUT_MS will stop it after {limit:g} s"
        told(f"{request_id} has been running for more than {LONG:g} s{left}")

    def _settings_for(self, record: Mapping[str, Any]) -> Settings:
        script = self._settings.root / record["script"]
        if self._named or not script.is_file():
            return self._settings
        return replace(self._settings, entry_script=str(script))


class Told:
    """Passes on what a worker says: results are standard output's, all else is not."""

    def __init__(self, settings: Settings) -> None:
        self._port = settings.debug_port

    def stage(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Say when somebody has to do something."""
        del facts
        if stage == "waiting for an editor":
            told(f"Waiting for an editor on 127.0.0.1:{self._port} …")

    def wrote(self, line: str) -> None:
        """The script has written a line."""
        told(line)


def editor_port(settings: Settings) -> int:
    """Return the port on which an editor is waited for.

    Raises
    ------
    UsageError
        There is no debugger, or the port is taken.
    """
    if importlib.util.find_spec("debugpy") is None:
        raise MissingExtra("--debugger", "debugpy", "debug")
    port = settings.debug_port
    if port_taken(("127.0.0.1", port)):
        raise UsageError(
            f"The debugger cannot listen on port {port}, which is already in use. Choose "
            "another with --debug-port."
        )
    return port


def request_of(record: Mapping[str, Any]) -> ScoringRequest:
    """Return the request that was recorded."""
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


def scored(result: Result, settings: Settings) -> Scored:
    """Return a result as it is compared with the one that was recorded."""
    failure = result.failure
    detail = {"frames": [], **(failure.detail if failure is not None else {})}
    if result.is_late:
        text = f"The deadline of {settings.scoring_timeout_ms} ms has passed."
        if result.end is not None:
            grace = f"{settings.interrupt_grace:g} s"
            text += f" It did not stop within {grace} after that, and was killed."
        return _failed(result, 504, "DeadlineExceeded", text, detail)
    if result.end is not None:
        return _failed(result, 500, "WorkerLost", result.end.report["message"], detail)
    if failure is not None and result.chunks < 0:
        body = json.dumps({"message": failure.message}).encode()
        outcome = outcome_of(failure.status, "application/json", body, failure.error_type)
        return Scored(outcome, failure.detail)
    kind = "stream" if failure is not None else ""
    if result.chunks < 0:
        return Scored(outcome_of(result.status, result.content_type, result.body, kind))
    outcome = outcome_of(result.status, result.content_type, result.body[:LARGEST_ANSWER], kind)
    outcome["bytes"] = result.size
    return Scored(outcome, detail if failure is not None else None)


def _failed(result: Result, status: int, kind: str, text: str, detail: Mapping[str, Any]) -> Scored:
    """Return what a server would have recorded: of a stream that was cut, its status."""
    error = {**detail, "type": kind, "message": text}
    if result.chunks >= 0:
        return Scored(outcome_of(result.status, result.content_type, b"", kind), error)
    body = json.dumps({"message": text}).encode()
    return Scored(outcome_of(status, "application/json", body, kind), error)


def compared(record: Mapping[str, Any], scored: Scored, file: Path) -> dict[str, Any]:
    """What has become of one request."""
    before, after = record["outcome"], scored.outcome
    content = ("content_type", "body", "bytes")
    like = {name: before.get(name) for name in content} if record["streamed"] else {}
    return {
        "id": record["id"],
        "file": str(file),
        "request": f"{record['method']} {record['target']}",
        "verdict": compare(before, {**after, **like}),
        "before": before,
        "after": after,
        "error": scored.error,
    }


def lines_of(result: Mapping[str, Any]) -> list[str]:
    """One request: a line, and if it failed anew, its place."""
    sizes = result["before"]["bytes"] != result["after"]["bytes"] and result["verdict"] == "changed"
    lines = [
        f"{WORDS[result['verdict']]:8} {result['id']}  {result['request']}  "
        f"{_shown(result['before'], sizes)} -> {_shown(result['after'], sizes)}"
    ]
    error = result["error"]
    if error and result["verdict"] != "same":
        lines.append(f"         {error['type']}: {error['message']}")
        lines += [
            f"           {frame['file']}:{frame['line']}  {frame['code']}"
            for frame in error["frames"]
        ]
    return lines


def total(results: Sequence[Mapping[str, Any]]) -> str:
    """The sum of all."""
    counts = {
        verdict: sum(1 for each in results if each["verdict"] == verdict) for verdict in WORDS
    }
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    plural = "s" if len(results) != 1 else ""
    return f"{len(results)} request{plural}: {words}"


def _shown(outcome: Mapping[str, Any], with_size: bool) -> str:
    error = f" {outcome['error']}" if outcome["error"] else ""
    size = f" ({outcome['bytes']:,} bytes)" if with_size else ""
    return f"{outcome['status']}{error}{size}"
