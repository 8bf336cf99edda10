"""``scorehost replay``: recorded requests, scored again by the script as it is now.

The script is loaded into this process and asked request by request, without a server; with
``--debugger`` it waits for an editor first. A set of recorded requests is a regression test:
the status is 3 when one of them ends worse or otherwise than it did.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scorehost.commands.arguments import CommandLine
from scorehost.dev.recording import as_bytes, compare, find_records, outcome_of, read_record
from scorehost.dev.script_debuggers import answer_as_done
from scorehost.entry_script import EntryScript, load_entry_script, run_init
from scorehost.errors import EntryScriptError, MissingExtra, UsageError
from scorehost.messages import Failure, Outcome, ScoringRequest, Stream
from scorehost.scoring.pipeline import Pipeline
from scorehost.settings import Settings
from scorehost.sources import resolve
from scorehost.worker.own_debuggers import watch_imports

FAILED_STATUS = 3
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
    line.parser.add_argument("what", metavar="ID|FILE|FOLDER", nargs="*", help="Which requests.")
    line.own.add_argument("--all", action="store_true", help="Every recorded request.")
    line.own.add_argument("--json", action="store_true", help="Answer with data.")
    line.own.add_argument(
        "--debugger", action="store_true", help="Wait for an editor before the script is imported."
    )
    parsed = line.read(arguments)
    if parsed is None:
        return 0
    settings = resolve(parsed.flags, environ, spelling=parsed.spelling).settings
    files = list(wanted(settings, parsed.own.what, every=parsed.own.all))
    if parsed.own.debugger:
        wait_for_editor(settings.debug_port)
    else:
        watch_imports(None)
    try:
        script = load(settings)
    except EntryScriptError as error:
        print(report(error, settings), file=sys.stderr)
        return FAILED_STATUS
    pipeline = Pipeline(script, nan=settings.nan, explain=True)
    results = [replayed(pipeline, read_record(file), file) for file in files]
    script.loop.close()
    print(json.dumps(results, indent=2, default=str) if parsed.own.json else table(results))
    return FAILED_STATUS if any(each["verdict"] in WORSE for each in results) else 0


def wanted(settings: Settings, what: Sequence[str], *, every: bool) -> Iterator[Path]:
    """The files to replay, oldest first.

    Raises
    ------
    UsageError
        There are none.
    """
    folder = settings.record_place
    if not what and not every:
        raise UsageError("Name a request's id, a file or a folder; or take --all.")
    if every:
        yield from find_records(folder, str(folder))
    for word in what:
        yield from find_records(folder, word)


def load(settings: Settings) -> EntryScript:
    """Load the script as a worker does."""
    from scorehost.worker.logs import set_up_logging
    from scorehost.worker.process import set_environment

    set_environment(settings)
    set_up_logging(settings.log_level, settings.root)
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


def replayed(pipeline: Pipeline, record: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Score one request again and compare."""
    headers = [(name, value) for name, value in record["headers"]]
    content_type = next((v for name, v in headers if name.lower() == "content-type"), "")
    request = ScoringRequest.full(
        record["method"],
        record["target"],
        headers,
        content_type,
        as_bytes(record["body"]),
        record["remote_address"],
    )
    outcome = pipeline.score(request)
    after = described(outcome)
    before = record["outcome"]
    return {
        "id": record["id"],
        "file": str(file),
        "request": f"{record['method']} {record['target']}",
        "verdict": "same" if record["streamed"] and before["status"] == after["status"]
        else compare(before, after),
        "before": before,
        "after": after,
        "error": outcome.detail if isinstance(outcome, Failure) else None,
    }  # fmt: skip


def described(outcome: Outcome) -> dict[str, Any]:
    """What is compared of an outcome."""
    if isinstance(outcome, Failure):
        body = json.dumps({"message": outcome.message}).encode()
        return outcome_of(outcome.status, "application/json", body, outcome.error_type)
    if isinstance(outcome, Stream):
        body = b"".join(outcome.chunks)
        return outcome_of(outcome.status, outcome.content_type, body)
    return outcome_of(outcome.status, outcome.content_type, outcome.body)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Every request in a line, those that failed with their place, then the sum."""
    lines = []
    for each in results:
        lines.append(
            f"{WORDS[each['verdict']]:8} {each['id']}  {each['request']}  "
            f"{_shown(each['before'])} -> {_shown(each['after'])}"
        )
        error = each["error"]
        if error and each["verdict"] != "same":
            lines.append(f"         {error['type']}: {error['message']}")
            lines += [
                f"           {frame['file']}:{frame['line']}  {frame['code']}"
                for frame in error["frames"]
            ]
    counts = {
        verdict: sum(1 for each in results if each["verdict"] == verdict) for verdict in WORDS
    }
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    plural = "s" if len(results) != 1 else ""
    return "\n".join([*lines, f"{len(results)} request{plural}: {told}"])


def _shown(outcome: Mapping[str, Any]) -> str:
    error = f" {outcome['error']}" if outcome["error"] else ""
    return f"{outcome['status']}{error}"
