"""The table of contract lines and their tests is complete, and names nothing that is gone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "contract-tests.md"
TESTS = ROOT / "tests"
NAMED = re.compile(r"`((?:front|http|unit)/test_\w+\.py)::(test_\w+)`")
ROW = re.compile(r"^\| (?!what\b|---)(.+?) \| (.*) \|$", re.MULTILINE)


def _tests_in(file: Path) -> Iterator[str]:
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


def _named() -> set[tuple[str, str]]:
    return set(NAMED.findall(TABLE.read_text("utf-8")))


def _existing(folder: str) -> set[tuple[str, str]]:
    files = sorted((TESTS / folder).glob("test_*.py"))
    return {(f"{folder}/{file.name}", name) for file in files for name in _tests_in(file)}


def test_every_named_test_exists() -> None:
    assert _named() - _existing("front") - _existing("http") - _existing("unit") == set()


def test_every_http_test_is_in_the_table() -> None:
    assert _existing("http") - _named() == set()


def test_every_line_has_a_test() -> None:
    rows = ROW.findall(TABLE.read_text("utf-8"))

    assert len(rows) > 100
    assert [line for line, tests in rows if not NAMED.search(tests)] == []


@pytest.mark.parametrize(
    "section",
    [
        "Places and ports",
        "Model path",
        "init and run",
        "Routes and status codes",
        "Headers",
        "Settings",
        "The drop-in command",
    ],
)
def test_every_section_is_there(section: str) -> None:
    assert f"\n## {section}\n" in TABLE.read_text("utf-8")
