"""Requirements files, and single requirements, as pip reads them.

Files that are referred to (``-r``, ``-c``) are read too, so that what comes out needs no other
file. What an image's build cannot have is refused by file and line: editable installs, folders,
and repositories, which need a checkout, a compiler or git.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from scorehost.errors import UsageError
from scorehost.images.text import read_text

INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--trusted-host")
SHORT = {
    "-i": "--index-url",
    "-f": "--find-links",
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
}
ALONE = ("--pre", "--no-index", "--prefer-binary", "--require-hashes")

_REPOSITORY = re.compile(r"(git|hg|svn|bzr)(\+|://)")
_WEB = re.compile(r"https?://")
_WHEEL = re.compile(r"\.whl(\[|\?|#|$)")
_ADDRESS = re.compile(rf"{_REPOSITORY.pattern}|\w+://|file:|[./~]|\S*{_WHEEL.pattern}")


@dataclass
class RequirementLines:
    """What requirements files ask for, in order.

    Parameters
    ----------
    requirements : one a line, hashes with them.
    constraints : likewise.
    options : for pip: indexes, and whether early versions may be taken.
    notes : what was left out.
    """

    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_requirements(file: Path) -> RequirementLines:
    """Read a requirements file, and those that it names."""
    lines = RequirementLines()
    _Reader(lines).read(file, lines.requirements)
    return lines


def read_entries(entries: Iterable[str], file: Path, lines: RequirementLines) -> None:
    """Read lines that stand in a file of another kind, as those below conda's ``pip:``."""
    text = "\n".join(entries)
    _Reader(lines, file).read_text(text, file, lines.requirements, f"{file}, pip's list")


class _Reader:
    """Reads files, and those that they name.

    Parameters
    ----------
    lines : gets what they ask for.
    opened : the files that are being read, each named by the one before.
    """

    def __init__(self, lines: RequirementLines, *opened: Path) -> None:
        self.lines, self.opened = lines, list(opened)

    def read(self, file: Path, into: list[str]) -> None:
        """Read a file; its requirements go into one of the lists."""
        if any(file.resolve() == each.resolve() for each in self.opened):
            circle = " -> ".join(map(str, (*self.opened, file)))
            raise UsageError(f"{file} is read by itself: {circle}.")
        self.opened.append(file)
        self.read_text(read_text(file), file, into, str(file))
        self.opened.pop()

    def read_text(self, text: str, file: Path, into: list[str], place: str) -> None:
        """Read lines; files that they name lie beside this one."""
        for number, line in logical_lines(text):
            here = f"{place}, line {number}"
            if not line.startswith("-"):
                into.append(checked(line, here))
                continue
            for option, value in options_of(line, here):
                if option in {"--requirement", "--constraint"}:
                    other = into if option == "--requirement" else self.lines.constraints
                    self.read(_named(file.parent / value, here), other)
                else:
                    self._add_option(option, value, file, here)

    def _add_option(self, option: str, value: str, file: Path, place: str) -> None:
        if option == "--editable":
            raise UsageError(_no_source(place, f"{option} {value}"))
        if option == "--find-links" and (file.parent / value).exists():
            value = str((file.parent / value).absolute())
        if option in INDEX_OPTIONS:
            self.lines.options += [option, value]
        elif option in ALONE:
            self.lines.options.append(option)
        else:
            self.lines.notes.append(f"{place}: {option} is left out")


def _named(file: Path, place: str) -> Path:
    if not file.is_file():
        raise UsageError(f"{place}: {file} is not there.")
    return file


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with those that continue them, without comments, and where each begins."""
    collected, begin = "", 0
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        begin = begin if collected else number
        if line.endswith("\\"):
            collected += line[:-1] + " "
            continue
        whole = (collected + line).strip()
        collected = ""
        if whole:
            yield begin, re.sub(r"\s+", " ", whole)


def options_of(line: str, place: str) -> Iterator[tuple[str, str]]:
    """The options of a line, each with its long name and its value."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{place}: {line!r} is not understood: {error}.") from error
    while words:
        word = words.pop(0)
        name, _, value = word.partition("=") if word.startswith("--") else (word[:2], "", word[2:])
        name = SHORT.get(name, name)
        if not value and name not in ALONE and words and not words[0].startswith("-"):
            value = words.pop(0)
        if not value and name in (*INDEX_OPTIONS, *SHORT.values()):
            raise UsageError(f"{place}: {name} has no value.")
        yield name, value


def checked(line: str, place: str) -> str:
    """A requirement that pip will understand and a build can have."""
    text = line.partition(" --hash")[0]
    try:
        requirement = Requirement(text)
        address = requirement.url or (text if _WHEEL.search(requirement.name) else None)
    except InvalidRequirement as error:
        address = re.split(r"\s+;", text)[0]
        if not _ADDRESS.match(address):
            problem = str(error).splitlines()[0]
            raise UsageError(
                f"{place}: {text!r} is not a requirement ({problem}). pip's form is name==version."
            ) from error
    if address is None or (_WHEEL.search(address) and _WEB.match(address)):
        return line
    if _WHEEL.search(address) and not _REPOSITORY.match(address):
        raise UsageError(
            f"{place}: {line!r} is a wheel by its path. Write name==version instead, and give the "
            "folder that has it, with the wheels of all other packages, with --wheelhouse."
        )
    raise UsageError(_no_source(place, line))


def _no_source(place: str, line: str) -> str:
    return (
        f"{place}: {line!r} is source code to be built, and images are made of wheels. Make one "
        "('pip wheel -w wheels …' for all requirements) and give it with --wheelhouse wheels; or "
        "copy the code into the folder, beside the script."
    )


def name_of(line: str) -> str:
    """A requirement's name as indexes compare it; "" for an address."""
    try:
        name = Requirement(line.partition(" --hash")[0]).name
    except InvalidRequirement:
        return ""
    return canonicalize_name(name)


def pinned_version(line: str) -> str | None:
    """The version of ``name==version``; None for anything looser."""
    try:
        specifiers = list(Requirement(line.partition(" --hash")[0]).specifier)
    except InvalidRequirement:
        return None
    exact = [each.version for each in specifiers if each.operator in {"==", "==="}]
    return exact[0] if len(exact) == 1 else None
