"""Which files of a folder stay out of the image.

Three kinds of list are honoured: ``.dockerignore`` (docker's rules: every pattern begins at the
top), and ``.amlignore``, or where there is none ``.gitignore`` (git's rules). Caches, version
control and virtual environments always stay out. Files that are too large for git are often those
that the image needs, so ``.gitignore`` never excludes ``azureml-models/``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn, TypeAlias

import pathspec

from scorehost.errors import UsageError
from scorehost.images.text import read_text
from scorehost.model_store import MODELS_FOLDER

ALWAYS = (
    *(".git/", ".hg/", ".svn/", ".DS_Store", ".scorehost/"),
    *(".venv/", "__pycache__/", "*.py[co]", ".ipynb_checkpoints/"),
    *(".mypy_cache/", ".pytest_cache/", ".ruff_cache/"),
)
"""Patterns, in git's form, of what is always excluded."""

IGNORE_FILES = (".dockerignore", ".amlignore", ".gitignore")

Rule: TypeAlias = Callable[[PurePosixPath], bool]


@dataclass(frozen=True)
class Found:
    """The files of a folder.

    Parameters
    ----------
    kept : those that go into the image; relative and sorted.
    left_out : how many files each ignore list excluded, by its name; not those of ``ALWAYS``.
    """

    kept: Sequence[PurePosixPath]
    left_out: dict[str, int]


def find_files(folder: Path) -> Found:
    """Sort a folder's files into those that go into the image and those that don't."""
    lists = dict(ignore_lists(folder))
    kept: list[PurePosixPath] = []
    left_out = dict.fromkeys(lists, 0)
    for file in walk(folder):
        name = next((name for name, leaves_out in lists.items() if leaves_out(file)), None)
        if name is None:
            kept.append(file)
        else:
            left_out[name] += 1
    return Found(sorted(kept), {name: count for name, count in left_out.items() if count})


def ignore_lists(folder: Path) -> Iterator[tuple[str, Rule]]:
    """The lists that apply here, by name, each as a rule that says whether it excludes a file."""
    names = [name for name in IGNORE_FILES if (folder / name).is_file()]
    if ".amlignore" in names and ".gitignore" in names:
        names.remove(".gitignore")
    for name in names:
        lines = read_text(folder / name, "replace").splitlines()
        if name == ".dockerignore":
            yield name, docker_list(lines)
        else:
            yield name, git_list(lines, keeps_models=name == ".gitignore")


def git_list(lines: Iterable[str], *, keeps_models: bool) -> Rule:
    """The rule of a list, by git's rules."""
    rules = pathspec.GitIgnoreSpec.from_lines(lines)

    def leaves_out(file: PurePosixPath) -> bool:
        kept = keeps_models and file.parts[0] == MODELS_FOLDER
        return not kept and rules.match_file(str(file))

    return leaves_out


def docker_list(lines: Iterable[str]) -> Rule:
    """The rule of a list, by docker's rules.

    The last pattern that matches the file or a folder above it decides, so that single files of an
    excluded folder can be included again.
    """
    patterns = list(pathspec.PathSpec.from_lines("gitignore", docker_rules(lines)).patterns)

    def leaves_out(file: PurePosixPath) -> bool:
        places = [str(place) for place in (file, *file.parents) if place.name]
        left_out = False
        for pattern in patterns:
            if pattern.include is not None and any(map(pattern.match_file, places)):
                left_out = pattern.include
        return left_out

    return leaves_out


def docker_rules(lines: Iterable[str]) -> Iterator[str]:
    """Docker's patterns in git's form: ``*.pyc``, which means only the top, is ``/*.pyc``."""
    for line in lines:
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        sign = "!" if pattern.startswith("!") else ""
        path = pattern.removeprefix("!").strip().removeprefix("./").strip("/")
        if path and path != ".":
            yield f"{sign}/{path}"


def walk(folder: Path) -> Iterator[PurePosixPath]:
    """The files of an app, relative to its folder."""
    always = pathspec.GitIgnoreSpec.from_lines(ALWAYS)

    def stays_out(path: str) -> bool:
        is_venv = path.endswith("/") and (folder / path / "pyvenv.cfg").is_file()
        return is_venv or always.match_file(path)

    return files_below(folder, stays_out)


def files_below(
    folder: Path, stays_out: Callable[[str], bool] = lambda _: False
) -> Iterator[PurePosixPath]:
    """Every file, relative to the folder; links are followed, but never in circles.

    ``stays_out`` is asked about paths in git's form: that of a folder ends in a slash.
    """
    try:
        for place, folders, files in os.walk(folder, followlinks=True, onerror=_raise):
            here = PurePosixPath(Path(place).relative_to(folder).as_posix())
            folders[:] = sorted(
                name
                for name in folders
                if not stays_out(f"{here / name}/") and not _leads_up(Path(place, name), folder)
            )
            for name in sorted(files):
                if not stays_out(str(here / name)) and Path(place, name).is_file():
                    yield here / name
    except OSError as error:  # a folder, or the target of a link, that this user may not read
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _leads_up(folder: Path, top: Path) -> bool:
    """Whether a link leads to a folder that contains it.

    The folders are compared, not their paths: a folder behind another link has several.
    """
    if not folder.is_symlink():
        return False
    passed = folder.parents[: len(folder.relative_to(top).parts)]
    return any(folder.samefile(each) for each in (*passed, *top.resolve().parents))


def _raise(error: OSError) -> NoReturn:
    raise error
