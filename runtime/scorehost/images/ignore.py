"""Which files of a folder stay out of the image.

Three kinds of list are honoured: ``.dockerignore`` (docker's rules: every pattern begins at the
top), and ``.amlignore``, or where there is none ``.gitignore`` (git's rules). Caches, version
control and virtual environments stay out in any case. What git must not have is often what the
image needs, so ``.gitignore`` never leaves out ``azureml-models/``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import pathspec

from scorehost.errors import UsageError
from scorehost.images.text import read_text
from scorehost.model_store import MODELS_FOLDER

ALWAYS = (
    ".git/",
    ".hg/",
    ".svn/",
    "__pycache__/",
    "*.py[co]",
    ".venv/",
    ".ipynb_checkpoints/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".scorehost/",
    ".DS_Store",
)
"""Left out without being asked."""

Rule: TypeAlias = Callable[[PurePosixPath], bool]

IGNORE_FILES = (".dockerignore", ".amlignore", ".gitignore")


@dataclass(frozen=True)
class Found:
    """The files of a folder.

    Parameters
    ----------
    kept : what goes into the image, relative, sorted.
    left_out : how many files each ignore list took, by its name; not those of ``ALWAYS``.
    """

    kept: Sequence[PurePosixPath]
    left_out: dict[str, int]


def find_files(folder: Path) -> Found:
    """Sort a folder's files into those that go into the image and those that don't."""
    lists = dict(ignore_lists(folder))
    always = pathspec.GitIgnoreSpec.from_lines(ALWAYS)
    kept: list[PurePosixPath] = []
    left_out = dict.fromkeys(lists, 0)
    for file in walk(folder, always):
        name = next((name for name, leaves_out in lists.items() if leaves_out(file)), None)
        if name is None:
            kept.append(file)
        else:
            left_out[name] += 1
    return Found(sorted(kept), {name: count for name, count in left_out.items() if count})


def ignore_lists(folder: Path) -> Iterator[tuple[str, Rule]]:
    """The lists that count here, by name, each as a rule that says whether a file is left out."""
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
    """A list that is read as git reads it."""
    rules = pathspec.GitIgnoreSpec.from_lines(lines)

    def leaves_out(file: PurePosixPath) -> bool:
        kept = keeps_models and file.parts[0] == MODELS_FOLDER
        return not kept and rules.match_file(str(file))

    return leaves_out


def docker_list(lines: Iterable[str]) -> Rule:
    """A list that is read as docker reads it.

    The last pattern counts that matches the file or a folder it is in, so that files can be
    taken back out of a folder that is left out.
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
    """Docker's patterns as git writes them: ``*.pyc`` is only those at the top, ``/*.pyc``."""
    for line in lines:
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        sign = "!" if pattern.startswith("!") else ""
        path = pattern.removeprefix("!").strip().removeprefix("./").strip("/")
        if path and path != ".":
            yield f"{sign}/{path}"


def walk(folder: Path, always: pathspec.PathSpec[Any]) -> Iterator[PurePosixPath]:
    """The files of an app, relative to its folder."""

    def stays_out(path: str) -> bool:
        is_venv = path.endswith("/") and (folder / path / "pyvenv.cfg").is_file()
        return is_venv or always.match_file(path)

    return files_below(folder, stays_out)


def files_below(
    folder: Path, stays_out: Callable[[str], bool] = lambda _: False
) -> Iterator[PurePosixPath]:
    """Every file, relative to the folder; links are followed, but not round in circles.

    ``stays_out`` is asked about paths as git writes them: a folder's ends in a slash.
    """
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_unreadable):
        here = PurePosixPath(Path(place).relative_to(folder).as_posix())
        folders[:] = sorted(
            name
            for name in folders
            if not stays_out(f"{here / name}/") and not _leads_up(Path(place, name), folder)
        )
        for name in sorted(files):
            if not stays_out(str(here / name)) and _is_file(Path(place, name)):
                yield here / name


def _leads_up(folder: Path, top: Path) -> bool:
    """Whether a link leads to a folder that it lies in.

    Folders are compared and not their paths, of which those behind another link have several.
    """
    if not folder.is_symlink():
        return False
    passed = folder.parents[: len(folder.relative_to(top).parts)]
    return any(folder.samefile(each) for each in (*passed, *top.resolve().parents))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a link to where this user may not look
        raise _cannot_be_read(error) from error


def _unreadable(error: OSError) -> None:
    raise _cannot_be_read(error) from error


def _cannot_be_read(error: OSError) -> UsageError:
    return UsageError(f"{error.filename} cannot be read: {error.strerror}.")
