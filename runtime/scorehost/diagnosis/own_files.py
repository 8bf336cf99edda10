"""The user's own files: what can be imported from them, and what they ask to be installed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from scorehost.diagnosis.case import Case

_REQUIREMENTS: Final = (
    "requirements.txt", "conda.yml", "conda.yaml", "environment.yml", "pyproject.toml",
)  # fmt: skip
_MOST_FILES: Final = 2000
"""Entries looked at; a model of a million files must not stall a failing start."""


def importable(folders: Iterable[Path]) -> dict[str, Path]:
    """Modules that the user can import, by name; paths relative to their folder."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").is_file()):
                found.setdefault(path.stem, path.relative_to(folder))
    return found


def python_files(folder: Path) -> Iterator[Path]:
    """Python files below a folder, the nearest first, without what was installed there."""
    seen = 0
    queue = [folder]
    while queue and seen < _MOST_FILES:
        here = queue.pop(0)
        for path in sorted(here.iterdir()) if here.is_dir() else []:
            seen += 1
            if path.is_dir() and not path.name.startswith((".", "__")):
                if not _was_installed(path):
                    queue.append(path)
            elif path.suffix == ".py":
                yield path


def _was_installed(folder: Path) -> bool:
    """Whether a folder is an environment, or what packages lie in."""
    is_environment = any((folder / name).exists() for name in ("pyvenv.cfg", "conda-meta"))
    return is_environment or folder.name in {"node_modules", "site-packages"}


def own_file(case: Case, top: str) -> Path | None:
    """The user's file that an import of this name would find."""
    candidates = (folder / f"{top}.py" for folder in case.folders())
    return next((file for file in candidates if file.is_file()), None)


def names_in(file: Path) -> list[str]:
    """Names that a file defines at module level."""
    names: list[str] = []
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names


def listed_in(case: Case, package: str) -> str:
    """The first file of requirements that names the package."""
    name = re.sub(r"[-_.]+", "[-_.]+", package)
    wanted = re.compile(rf"^\W*{name}(?![\w-])", re.IGNORECASE | re.MULTILINE)
    for folder in case.folders():
        for path in (folder / file for file in _REQUIREMENTS):
            if path.is_file() and wanted.search(path.read_text("utf-8", "replace")):
                return path.name
    return ""


def relative(path: Path, case: Case) -> Path:
    """A path as the user knows it: from the script's folder or the app root."""
    folder = next((folder for folder in case.folders() if folder in [path, *path.parents]), None)
    return path.relative_to(folder) if folder else path
