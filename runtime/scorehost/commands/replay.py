"""``scorehost replay``: recorded requests, scored again by the script as it is now.

Without a server, request by request in a process of the command's own; with ``--debugger`` it
waits for an editor first. A set of recorded requests is a regression test: the status is 3 when
one of them ends worse or otherwise than it did, or could not be asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scorehost.commands.arguments import CommandLine
from scorehost.commands.replay_process import Replayer, Scored, StartFailed
from scorehost.dev.recording import all_records, compare, find_records, read_record
from scorehost.errors import UsageError
from scorehost.settings import Settings
from scorehost.sources import resolve

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
    resolved = resolve(parsed.flags, environ, spelling=parsed.spelling)
    settings = resolved.settings
    records, damaged = readable(wanted(settings, parsed.own.what, every=parsed.own.all))
    asking = Asking(
        settings,
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
        raise UsageError("Name a request's id, a file or a folder; or take --all.")
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


class Asking:
    """Asks the scripts.

    Parameters
    ----------
    settings : of this command.
    named : whether they name a script; otherwise each record's own is asked.
    debugger : wait for an editor first.
    """

    def __init__(self, settings: Settings, *, named: bool, debugger: bool) -> None:
        self._settings, self._named, self._debugger = settings, named, debugger

    def results(
        self, records: Iterable[tuple[Path, Mapping[str, Any]]]
    ) -> Iterator[dict[str, Any]]:
        """Score and compare one after the other."""
        replayer: Replayer | None = None
        try:
            for file, record in records:
                settings = self._settings_for(record)
                if replayer is None or replayer.settings != settings:
                    if replayer is not None:
                        replayer.close()
                    replayer = Replayer(settings, debugger=self._debugger, tell=told)
                yield compared(record, replayer.score(record), file)
        finally:
            if replayer is not None:
                replayer.close()

    def _settings_for(self, record: Mapping[str, Any]) -> Settings:
        script = self._settings.root / record["script"]
        if self._named or not script.is_file():
            return self._settings
        return replace(self._settings, entry_script=str(script))


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
    lines = [
        f"{WORDS[result['verdict']]:8} {result['id']}  {result['request']}  "
        f"{_shown(result['before'])} -> {_shown(result['after'])}"
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


def _shown(outcome: Mapping[str, Any]) -> str:
    error = f" {outcome['error']}" if outcome["error"] else ""
    return f"{outcome['status']}{error}"
