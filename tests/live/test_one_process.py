"""``check``, ``replay`` and the server ask the same process, so they tell the same of a script."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import broken_scripts
from support.broken_scripts import comparable, lay_out, normalised, report_in
from support.commands import Ended, run
from support.server import StartServer, clean_environment, free_port, script_file
from support.wait import wait_until

STARTS = (
    "bad_indentation", "broken_sibling", "circular_import", "ends_the_process", "exits_at_import",
    "exits_in_init", "file_below_models", "killed", "missing_package", "model_not_found", "no_run",
    "recursion", "truncated_pickle", "unknown_error",
)  # fmt: skip
"""Some of every stage and of every way to end; with those below they are twenty."""

SCORED = [
    ("prints.py", "x", {}),
    ("logs.py", "x", {}),
    ("raises.py", "x", {}),
    ("hangs.py", "sleep", {"SCORING_TIMEOUT_MS": "300"}),
    ("hangs.py", "c", {"SCORING_TIMEOUT_MS": "300", "SCOREHOST_INTERRUPT_GRACE": "0.5"}),
    ("dies.py", "segv", {}),
]
"""Script, what it is asked, settings."""


def a_record(folder: Path) -> Path:
    """A recorded request, which a script that does not start will never see."""
    record = folder / "record.json"
    record.write_text(json.dumps({
        "format": 1, "id": "x", "script": "score.py", "method": "POST", "target": "/score",
        "headers": [], "body": "{}", "remote_address": "127.0.0.1", "streamed": False,
        "outcome": {"status": 200, "bytes": 2, "body": "{}", "error": ""},
    }))  # fmt: skip
    return record


@pytest.mark.parametrize("case", STARTS)
def test_the_same_report(case: str, tmp_path: Path) -> None:
    app = lay_out(case, tmp_path)
    checked = broken_scripts.run("check", case, app)
    served = broken_scripts.run("serve", case, app, "--port", str(free_port()))
    replayed = subprocess.run(
        [sys.executable, "-m", "scorehost", "replay", str(a_record(tmp_path))],
        cwd=app,
        env=clean_environment({"AML_APP_ROOT": str(app), "PYTHONIOENCODING": "utf-8"}),
        capture_output=True,
        text=True,
        timeout=60,
    )

    reports = [
        comparable(normalised(report_in(output), app))
        for output in (checked.stdout, served.stderr, replayed.stderr)
    ]

    assert "scorehost: score.py did not start" in reports[0]
    assert reports[1:] == reports[:1] * 2
    assert [done.returncode for done in (checked, served, replayed)] == [3, 3, 3]


@pytest.mark.parametrize(("script", "what", "settings"), SCORED)
def test_the_same_output_and_deadline(
    own_server: StartServer, script: str, what: str, settings: dict[str, str]
) -> None:
    server = own_server(
        "",
        files={"main.py": script_file(script).read_text()},
        settings={"SCOREHOST_LOG_FORMAT": "json", "SCOREHOST_RECORD": "all", **settings},
    )
    server.post(json=what)
    folder = server.folder / ".scorehost" / "requests"
    wait_until(lambda: list(folder.glob("*.json")), what="it is recorded")
    (record,) = folder.glob("*.json")
    outcome = json.loads(record.read_text())["outcome"]
    if settings:
        told = server.wait_for_line(
            "deadline", "continues" if what == "sleep" else "killing and replacing it"
        )
        assert told
    server.stop()

    (server.folder / "sample.json").write_text(json.dumps(what))
    checked = run(
        server.folder, "check", "main.py", "--json", "--sample", "sample.json", **settings
    )
    replayed = run(server.folder, "replay", "--all", "--json", **settings)

    # What they printed, in the same order.
    assert checked.json()["output"] == said_in_the_log(server.records())
    assert replayed.err.splitlines() == checked.json()["output"]
    # How it ended.
    (again,) = replayed.json()
    assert again["verdict"] == "same"
    assert again["after"]["error"] == outcome["error"]
    assert_ended_alike(what, outcome, checked, again)


def said_in_the_log(records: list[dict[str, Any]]) -> list[str]:
    """What the script printed and logged, as the commands show it."""
    lines = []
    for record in records:
        logger = str(record.get("logger", ""))
        if logger == "scorehost.print":
            lines.append(record["message"])
        elif logger.startswith("scorehost.script.") or is_of_root(record):
            name = logger.removeprefix("scorehost.script.")
            lines.append(f"{record['level']} {name}: {record['message']}")
    return lines


def is_of_root(record: dict[str, Any]) -> bool:
    """Whether the script's root logger said it: stages and failures are the server's own."""
    ours = "stage" in record or re.match(r"[a-z()]+: main\.py$", str(record.get("message", "")))
    return record.get("logger") == "scorehost.script" and not ours


def assert_ended_alike(
    what: str, outcome: dict[str, Any], checked: Ended, again: dict[str, Any]
) -> None:
    report = checked.json()["report"]
    if outcome["status"] == 200:
        assert report is None
        assert checked.status == 0
        return
    assert checked.status == 3
    assert report["stage"] == "run"
    if what in ("sleep", "c"):
        assert outcome["status"] == 504
        killed = what == "c"
        assert ("was killed" in report["message"]) == killed
        assert ("was killed" in again["error"]["message"]) == killed
        assert report["frames"][-1]["file"] == "main.py"
    elif what == "segv":
        assert report["message"] == again["error"]["message"]
        assert "SIGSEGV" in report["message"]
    else:
        assert report["error_type"] == again["error"]["type"] == outcome["error"]
