"""Broken entry scripts, checked and served: the whole report that a person sees of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scorehost.diagnosis.report import TERMINATION_LIMIT
from support.broken_scripts import (
    cases,
    comparable,
    expected,
    lay_out,
    normalised,
    report_in,
    run,
)
from support.server import free_port

FAILED = 3

SERVED = (
    "bad_indentation",
    "circular_import",
    "crash",
    "ends_the_process",
    "exits_at_import",
    "exits_in_init",
    "file_below_models",
    "killed",
    "missing_package",
    "model_not_found",
    "no_run",
    "no_script",
    "old_numpy_name",
    "recursion",
    "slow_init",
    "typographic_quotes",
)
"""Some of every stage and of every way to end: that serving tells the same."""

ASCII_FRAME = str.maketrans({"┌": "+", "└": "+", "│": "|", "─": "-"})

OURS = re.compile(r"scorehost/|azureml_stand_ins|importlib[/.]_|runpy|<frozen|<string>|run_init")
"""What a frame of ours, or of the import system, would bring into a report."""


def test_there_are_enough_of_them() -> None:
    """Whoever adds a hint adds a script that needs it."""
    assert len(cases()) >= 24


@pytest.mark.parametrize("case", cases())
def test_check_explains(case: str, tmp_path: Path) -> None:
    """``scorehost check`` ends with status 3 after the report, and nothing of ours is in it."""
    app = lay_out(case, tmp_path)

    ended = run("check", case, app)

    assert ended.returncode == FAILED, ended.stderr
    assert ended.stderr == ""
    assert_as_expected(case, report_in(ended.stdout), app)


@pytest.mark.parametrize("case", SERVED)
def test_serve_explains(case: str, tmp_path: Path) -> None:
    """``scorehost serve`` ends the same way: the report is last in its log.

    The same report, its frame drawn in ASCII, is the container's termination message.
    """
    app = lay_out(case, tmp_path)
    message = tmp_path / "termination-log"

    ended = run(
        "serve", case, app, "--port", str(free_port()), "--termination-log", str(message)
    )  # fmt: skip

    assert ended.returncode == FAILED, ended.stderr
    assert_as_expected(case, report_in(ended.stderr), app)
    left = message.read_bytes()
    assert len(left) <= TERMINATION_LIMIT
    assert_tells_the_same(left.decode(), report_in(ended.stderr))


def assert_as_expected(case: str, report: str, app: Path) -> None:
    """Compare the whole report; none of our frames may be in it."""
    assert OURS.search(report.replace(str(app), "")) is None
    assert comparable(normalised(report, app)) == comparable(expected(case))


def assert_tells_the_same(message: str, report: str) -> None:
    """The termination message says what the log says."""
    assert message.rstrip("\n") == report.translate(ASCII_FRAME)
