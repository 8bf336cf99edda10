"""With CI=true a skipped test is a failed one, so that nothing goes untested unnoticed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

EVERYTHING = os.environ.get("CI") == "true"


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that skips."""
    outcome: Any = yield
    _refuse(outcome.get_result())


@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A whole module that skips."""
    outcome: Any = yield
    _refuse(outcome.get_result())


def _refuse(report: Any) -> None:
    expected_failure = hasattr(report, "wasxfail")
    if EVERYTHING and report.skipped and not expected_failure:
        report.outcome = "failed"
        report.longrepr = f"Skipped, and CI=true skips nothing: {report.longrepr}"
