"""Requirements files, and single requirements, as pip reads them.

Files that are referred to (``-r``, ``-c``) are read too, so that what comes out needs no other
file. What an image's build cannot have is refused by file and line: editable installs, folders,
and repositories, which need a checkout, a compiler or git.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from scorehost.errors import UsageError

INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--trusted-host")
SHORT = {
    "-i": "--index-url",
    "-f": "--find-links",
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
}
ALONE = ("--pre", "--no-index", "--prefer-binary", "--require-hashes")

REPOSITORY = re.compile(r"(git|hg|svn|bzr)(\+|://)")


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
    _read(file, lines, lines.requirements, ())
    return lines


def _read(file: Path, lines: RequirementLines, into: list[str], above: tuple[Path, ...]) -> None:
    if file in above:
        raise UsageError(f"{file} is read by itself: {' -> '.join(map(str, (*above, file)))}.")
    for number, line in logical_lines(_text(file)):
        place = f"{file}, line {number}"
        if not line.startswith("-"):
            into.append(checked(line, place))
            continue
        option, value = _option(line)
        if option in {"--requirement", "--constraint"}:
            other = into if option == "--requirement" else lines.constraints
            _read(file.parent / value, lines, other, (*above, file))
        elif option in INDEX_OPTIONS or option in ALONE:
            lines.options += [option, value] if value else [option]
        elif option == "--editable":
            raise UsageError(_no_source(place, line))
        else:
            lines.notes.append(f"{place}: {line.split()[0]} is left out")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{file} is not there.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error


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


def _option(line: str) -> tuple[str, str]:
    """An option's long name, and its value."""
    if line.startswith("--"):
        name, _, value = line.replace("=", " ", 1).partition(" ")
    else:
        name, value = line[:2], line[2:]
    words = shlex.split(value)
    return SHORT.get(name, name), words[0] if words else ""


def checked(line: str, place: str) -> str:
    """A requirement that pip will understand and a build can have."""
    text = line.partition(" --hash")[0]
    if REPOSITORY.search(text) or text.startswith((".", "/", "~", "file:")):
        raise UsageError(_no_source(place, line))
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        if re.match(r"https?://\S+\.whl$", text):
            return line
        problem = str(error).splitlines()[0]
        raise UsageError(
            f"{place}: {text!r} is no requirement ({problem}). pip's form is name==version."
        ) from error
    if requirement.url and not re.search(r"\.whl(#|$)", requirement.url):
        raise UsageError(_no_source(place, line))
    return line


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
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned_version(line: str) -> str | None:
    """The version of ``name==version``; None for anything looser."""
    try:
        specifiers = list(Requirement(line.partition(" --hash")[0]).specifier)
    except InvalidRequirement:
        return None
    exact = [each.version for each in specifiers if each.operator in {"==", "==="}]
    return exact[0] if len(exact) == 1 else None
