"""Requirements files, and single requirements, as pip reads them.

Files that are referred to (``-r``, ``-c``) are read too, so that the result needs no other file.
Requirements that the build of an image cannot install are refused by file and line: editable
installs, folders and repositories, which need a checkout, a compiler or git.
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
_PASSWORD = re.compile(r"//[^/@\s]+@")
_ADDRESS = re.compile(rf"{_REPOSITORY.pattern}|\w+://|file:|[./~]|\S*{_WHEEL.pattern}")


@dataclass
class RequirementLines:
    """The lines of requirements files, in order.

    Parameters
    ----------
    requirements : one per line, with their hashes.
    constraints : likewise.
    options : for pip: indexes, and whether pre-releases are allowed.
    notes : what was ignored.
    """

    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class CondaFile:
    """What a conda file says, as it stands there.

    Parameters
    ----------
    specs : conda's packages, but for Python.
    python : the lines about Python.
    channels : where the packages are, the most important first.
    lines : what stands below ``pip:``.
    refused : what pip cannot install, each with what to do about it.
    """

    specs: list[str] = field(default_factory=list)
    python: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    lines: RequirementLines = field(default_factory=RequirementLines)
    refused: list[str] = field(default_factory=list)


@dataclass
class Environment:
    """The packages of an image.

    Parameters
    ----------
    file : the file it came from, None when there is none.
    lines : requirements, constraints and options, for pip.
    python : constraint on Python's version, "" for any.
    variables : environment variables that it sets.
    notes : what was replaced, renamed or ignored, to be shown to the user.
    conda : the same as conda has it, for a conda file; None for others.
    """

    file: Path | None = None
    lines: RequirementLines = field(default_factory=RequirementLines)
    python: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    conda: CondaFile | None = None

    @property
    def source(self) -> str:
        """The name of the file; "" when there is none."""
        return self.file.name if self.file else ""


def read_requirements(file: Path) -> RequirementLines:
    """Read a requirements file, and the files that it names."""
    lines = RequirementLines()
    _Reader(lines).read(file, lines.requirements)
    return lines


def read_entries(entries: Iterable[str], file: Path, lines: RequirementLines) -> None:
    """Read lines from within a file of another kind, such as those below conda's ``pip:``."""
    text = "\n".join(entries)
    _Reader(lines, file).read_text(text, file, lines.requirements, f"{file}, pip's list")


class _Reader:
    """Reads files and those that they name into one :class:`RequirementLines`.

    ``opened`` are the files that are being read, each named by the one before.
    """

    def __init__(self, lines: RequirementLines, *opened: Path) -> None:
        self.lines, self.opened = lines, list(opened)

    def read(self, file: Path, into: list[str]) -> None:
        """Read a file; its requirements are added to ``into``."""
        if any(file.resolve() == each.resolve() for each in self.opened):
            circle = " -> ".join(map(str, (*self.opened, file)))
            raise UsageError(f"{file} includes itself: {circle}.")
        self.opened.append(file)
        self.read_text(read_text(file), file, into, str(file))
        self.opened.pop()

    def read_text(self, text: str, file: Path, into: list[str], place: str) -> None:
        """Read lines; the files that they name are relative to this one's folder."""
        for number, line in logical_lines(text):
            here = f"{place}, line {number}"
            if not line.startswith("-"):
                into.append(checked(line, here))
                continue
            for option, value in options_of(line, here):
                if option in {"--requirement", "--constraint"}:
                    other = into if option == "--requirement" else self.lines.constraints
                    named = file.parent / value
                    if not named.is_file():
                        raise UsageError(f"{here}: {named} does not exist.")
                    self.read(named, other)
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
            self.lines.notes.append(f"{place}: {option} is ignored")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines joined with those that continue them, without comments, with their first number."""
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
    """The options of a line, each by its long name and with its value."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{place}: {line!r} cannot be parsed: {error}.") from error
    while words:
        word = words.pop(0)
        name, _, value = word.partition("=") if word.startswith("--") else (word[:2], "", word[2:])
        name = SHORT.get(name, name)
        if not value and name not in ALONE and words and not words[0].startswith("-"):
            value = words.pop(0)
        if not value and name in (*INDEX_OPTIONS, *SHORT.values()):
            raise UsageError(f"{place}: {name} needs a value.")
        yield name, value


def checked(line: str, place: str) -> str:
    """The line, if pip accepts it and the build of an image can install it."""
    text = without_hashes(line)
    try:
        requirement = Requirement(text)
        address = requirement.url or (text if _WHEEL.search(requirement.name) else None)
    except InvalidRequirement as error:
        address = re.split(r"\s+;", text)[0]
        if not _ADDRESS.match(address):
            problem = str(error).splitlines()[0]
            raise UsageError(
                f"{place}: {shown(text)!r} is not a valid requirement ({problem}). "
                "Write name==version."
            ) from error
    if address is None or (_WHEEL.search(address) and _WEB.match(address)):
        return line
    if _WHEEL.search(address) and not _REPOSITORY.match(address):
        raise UsageError(
            f"{place}: {shown(line)!r} is the path of a wheel, which does not exist in the build. "
            "Write name==version instead, and name a folder that holds this wheel and those of all "
            "other packages with --wheelhouse."
        )
    raise UsageError(_no_source(place, line))


def _no_source(place: str, line: str) -> str:
    return (
        f"{place}: {shown(line)!r} is source code, and images are built from wheels only. Build "
        "wheels of all requirements ('pip wheel -w wheels …') and use them with --wheelhouse "
        "wheels; or copy the code into the folder, next to the script."
    )


def without_hashes(line: str) -> str:
    """A requirement by itself."""
    return line.partition(" --hash")[0]


def hashes_of(line: str) -> str:
    """A requirement's hashes, as they stand behind it; "" for none."""
    return "".join(line.partition(" --hash")[1:])


def parsed(line: str) -> Requirement | None:
    """A line as a requirement, without its hashes; None for an address."""
    try:
        return Requirement(without_hashes(line))
    except InvalidRequirement:
        return None


def key_of(line: str) -> str:
    """What a requirement and its pin have in common: an address, or else the package's name."""
    requirement = parsed(line)
    address = without_hashes(line) if requirement is None else requirement.url
    return address.partition("#")[0].strip() if address else name_of(line)


def shown(text: str) -> str:
    """A text as a person may see it: without the passwords in its addresses."""
    return _PASSWORD.sub("//****@", text)


def name_of(line: str) -> str:
    """A requirement's name as indexes compare it; "" for an address."""
    requirement = parsed(line)
    return canonicalize_name(requirement.name) if requirement else ""


def pinned_version(line: str) -> str | None:
    """The version of ``name==version``; None for anything looser."""
    specifiers = requirement.specifier if (requirement := parsed(line)) else ()
    exact = [each.version for each in specifiers if each.operator in {"==", "==="}]
    return exact[0] if len(exact) == 1 else None
