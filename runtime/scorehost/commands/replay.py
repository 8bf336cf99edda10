"""``scorehost replay``: recorded requests, scored again by the script as it is now.

There is no server: the worker that would serve is asked, one request after the other; with
``--debugger`` it waits for an editor first. A request that ends the worker, or never ends, is
the outcome of that request alone: the next one gets another process. A set of recorded requests is
a regression test: the status is 3 when one of them ends worse or otherwise than it did, or could
not be asked.
"""

from __future__ import annotations

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
    leads_out,
    outcome_of,
    read_record,
    script_name,
)
from scorehost.dev.script_debuggers import port_taken
from scorehost.errors import MissingExtra, UsageError
from scorehost.escaping import harmless
from scorehost.front.observe.log import as_word
from scorehost.interpreter import interpreter_of, own_debugpy
from scorehost.settings import Settings
from scorehost.sources import resolve
from scorehost.wire.messages import ScoringRequest
from scorehost.wire.requests import LARGEST_PACKET, MEMORY_FILE_FROM, pack_scoring_request

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
    records, damaged = readable(
        wanted(settings, parsed.own.what, every=parsed.own.all),
        settings,
        named=resolved.sources["entry_script"].kind != "default",
    )
    if differs := other_python(records):
        told(differs)
    asking = Asking(environ, debugger=parsed.own.debugger)
    results = []
    failed = damaged
    try:
        for result in asking.results(records):
            results.append(result)
            failed |= result["verdict"] in WORSE
            if not parsed.own.json:
                print(harmless("\n".join(lines_of(result))), flush=True)
    except StartFailed as error:
        told(str(error))
        failed = True
    if parsed.own.json:
        print(json.dumps(results, indent=2, default=str))
    elif results:
        print(total(results))
    return FAILED_STATUS if failed else 0


def told(text: str) -> None:
    """Print a line for people, on standard error: results go to standard output."""
    print(harmless(text), file=sys.stderr, flush=True)


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


@dataclass(frozen=True)
class Record:
    """One recorded request.

    Parameters
    ----------
    file : where it was found.
    document : what it says.
    settings : those of the script that is asked.
    """

    file: Path
    document: Mapping[str, Any]
    settings: Settings


def readable(
    files: Iterable[Path], settings: Settings, *, named: bool
) -> tuple[list[Record], bool]:
    """Read them; those of a set that can't be used are told and left out.

    Parameters
    ----------
    files : the records.
    settings : of this command.
    named : whether they name a script; otherwise each record's own is asked.

    Returns
    -------
    tuple
        The records, and whether some were left out.

    Raises
    ------
    UsageError
        None of them can be used.
    """
    read = [_read(file, settings, named=named) for file in files]
    records = [found for found in read if isinstance(found, Record)]
    problems = [found for found in read if isinstance(found, str)]
    if not records:
        raise UsageError("\n".join(problems))
    for problem in problems:
        told(problem)
    return records, bool(problems)


def _read(file: Path, settings: Settings, *, named: bool) -> Record | str:
    try:
        document = read_record(file, settings.record_bytes)
        if not named:
            settings = settings_for(document["script"], file, settings)
        _check_size(document, file)
    except UsageError as error:
        return str(error)
    return Record(file, document, settings)


def settings_for(script: str, file: Path, settings: Settings) -> Settings:
    """Return the settings with which a record's own script is asked.

    A record may come from somebody else, and a script is run: what lies outside of the app root, or
    in the folder of the record, must be named by who types the command.

    Raises
    ------
    UsageError
        The app root has no such script.
    """
    if script == script_name(settings):  # it is asked anyway
        return settings
    root = settings.root
    path = root / script
    if Path(script).is_absolute() or ".." in Path(script).parts or leads_out(path, root):
        raise UsageError(
            f"{file} was not replayed: the script that it names, {script!r}, is outside the app "
            f"root {root}. If that is the script you mean, name it with --entry-script FILE."
        )
    folder = file.parent.resolve()
    if path.resolve().is_relative_to(folder) and not root.resolve().is_relative_to(folder):
        raise UsageError(
            f"{file} was not replayed: the script that it names, {script!r}, is in the record's "
            "own folder. If that is the script you mean, name it with --entry-script FILE."
        )
    if not path.is_file():
        raise UsageError(
            f"{file} names the script {script!r}, which is not in the app root {root}. Name the "
            "script with --entry-script FILE, or its app root with --app-root DIR."
        )
    return replace(settings, entry_script=str(path))


def _check_size(document: Mapping[str, Any], file: Path) -> None:
    """Hold a record to what a server can pass on: what is larger would never reach the script.

    Raises
    ------
    UsageError
        It is larger.
    """
    request = request_of(document)
    in_file = len(request.body) >= MEMORY_FILE_FROM
    size = len(pack_scoring_request(0, b"", request, in_file=in_file))
    if size > LARGEST_PACKET:
        raise UsageError(
            f"{file} cannot be replayed: without its body the request takes {size:,} bytes, but a "
            f"server passes on at most {LARGEST_PACKET:,}. Record the request again."
        )


def other_python(records: Sequence[Record]) -> str:
    """Say that requests were recorded under another Python than scores them now; else ""."""
    for record in records:
        before, now = str(record.document.get("python", "")), interpreter_of(record.settings)
        if before and before.split(".")[:2] != now.version_text.split(".")[:2]:
            return (
                f"{record.file} was recorded under Python {before}, and is replayed in {now}. "
                "--python chooses another."
            )
    return ""


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
    environ : the environment of the scripts.
    debugger : wait for an editor first.
    """

    def __init__(self, environ: Mapping[str, str], *, debugger: bool) -> None:
        self._environ, self._debugger = environ, debugger
        self._worker: OneWorker | None = None
        self._worker_settings: Settings | None = None

    def results(self, records: Iterable[Record]) -> Iterator[dict[str, Any]]:
        """Score and compare one after the other.

        Raises
        ------
        StartFailed
            A script does not start.
        """
        try:
            for record in records:
                yield compared(record.document, self._score(record), record.file)
        finally:
            self._close()

    def _score(self, record: Record) -> Scored:
        settings = record.settings
        worker = self._worker_for(settings)
        result = worker.score(
            request_of(record.document),
            slow_after=LONG,
            is_slow=lambda: self._tell_of_slow(_word(record.document["id"]), settings),
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
    if not (own_debugpy() or interpreter_of(settings).has("debugpy")):
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
    request = " ".join(map(_word, result["request"].split(" ", 1)))
    sizes = result["before"]["bytes"] != result["after"]["bytes"] and result["verdict"] == "changed"
    lines = [
        f"{WORDS[result['verdict']]:8} {_word(result['id'])}  {request}  "
        f"{_shown(result['before'], sizes)} -> {_shown(result['after'], sizes)}"
    ]
    error = result["error"]
    if error and result["verdict"] != "same":
        message = error["message"].replace("\n", "\n           ")  # no line of its own
        lines.append(f"         {error['type']}: {message}")
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
    hint = "; --json shows what has changed" if counts["changed"] else ""
    return f"{len(results)} request{plural}: {words}{hint}"


def _word(text: str) -> str:
    """What a record says as one word: it must not write lines of ours, or speak to a terminal."""
    return as_word(text).decode()


def _shown(outcome: Mapping[str, Any], with_size: bool) -> str:
    error = f" {_word(outcome['error'])}" if outcome["error"] else ""
    size = f" ({outcome['bytes']:,} bytes)" if with_size else ""
    return f"{outcome['status']}{error}{size}"
