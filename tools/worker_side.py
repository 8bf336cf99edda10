"""Which files run in the script's interpreter; prints their paths.

They are what ``scorehost/worker/start.py`` and ``azureml_stand_ins`` import, early or late,
themselves or through others; what only type checkers see does not count. Nothing keeps that list
by hand: ``make lint`` and ``make type`` hold these files to the oldest Python of scripts, and so
does a test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
BEGINNINGS = ("scorehost/worker/start.py", "scorehost/worker/for_children", "azureml_stand_ins")


def worker_side(runtime: Path = RUNTIME) -> list[Path]:
    """Return the files that the script's interpreter runs, sorted."""
    further = [file for name in BEGINNINGS for file in _files_at(runtime / name)]
    found: set[Path] = set()
    while further:
        file = further.pop()
        if file in found:
            continue
        found.add(file)
        for name in _imported(ast.parse(file.read_text("utf-8"))):
            further += _files_of(name, runtime)
    return sorted(found)


def _files_at(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _files_of(name: str, runtime: Path) -> Iterator[Path]:
    """Yield the file of a dotted name, and those of the packages around it."""
    words = name.split(".")
    if words[0] not in {"scorehost", "azureml_stand_ins"}:
        return
    for length in range(1, len(words) + 1):
        path = runtime.joinpath(*words[:length])
        yield from (
            each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()
        )


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported anywhere below a node, but for the sake of types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (name for each in node.orelse for name in _imported(each))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imported(node)


if __name__ == "__main__":
    for path in worker_side():
        print(path.relative_to(RUNTIME.parent))  # noqa: T201 - what it is asked for
