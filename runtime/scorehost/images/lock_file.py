"""``scorehost.lock``: the packages of an image, to every wheel's hash.

It lies beside the environment file and belongs into version control. It is a requirements file
that pip installs as it is, with a block of metadata in comments, in the form that Python scripts
have theirs (https://peps.python.org/pep-0723/)::

    # /// scorehost
    # source = "myenv.yml"
    # python = "3.11"
    # machine = "x86_64"
    # glibc = 36
    # asked = [
    #   "scikit-learn==1.5.*",
    # ]
    # ///
    joblib==1.4.2 --hash=sha256:06d4…

Its wheels are those for one Python and platform. It is stale when the environment file asks for
something else, or when the image has another Python or platform.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from scorehost.errors import UsageError
from scorehost.images.requirement_lines import (
    RequirementLines,
    checked,
    hashes_of,
    logical_lines,
    parsed,
    pinned_version,
)
from scorehost.images.text import parse_toml, read_text
from scorehost.images.wheels import Target

NAME = "scorehost.lock"

_BLOCK = re.compile(r"^# /// scorehost\n(?P<toml>(?:#.*\n)*?)# ///$", re.MULTILINE)
_HASH = re.compile(r" --hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Lock:
    """What a lock file says.

    Parameters
    ----------
    source : the name of the environment file that it was made from.
    python, machine, glibc : what its wheels fit, as in :class:`Target`.
    asked : what the environment file asked for; see :func:`asked_for`.
    pins : one line for each package, exact, with the hash of its wheel.
    """

    source: str
    python: str
    machine: str
    glibc: int
    asked: tuple[str, ...]
    pins: tuple[str, ...]

    def text(self) -> str:
        """The file's content."""
        block = [f"{name} = {json.dumps(getattr(self, name))}" for name in ("source", "python")]
        block += [f"machine = {json.dumps(self.machine)}", f"glibc = {self.glibc}", "asked = ["]
        block += [f"  {json.dumps(line, ensure_ascii=False)}," for line in self.asked]
        lines = ["/// scorehost", *block, "]", "///"]
        lines.append(f"Made by 'scorehost build --lock'. Change {self.source}, not this file.")
        pins = [line.replace(" --hash", " \\\n    --hash") for line in self.pins]
        return "\n".join([*(f"# {line}" for line in lines), *pins, ""])

    def why_stale(self, lines: RequirementLines, target: Target) -> str:
        """Why it does not fit an environment file and an image; "" when it does."""
        return "; ".join(self._differences(asked_for(lines), target))

    def _differences(self, asked: Iterable[str], target: Target) -> Iterator[str]:
        if self.python != target.python:
            yield f"it is for Python {self.python}, and the image has {target.python}"
        if self.machine != target.machine:
            yield f"it is for {self.machine}, and the image is for {target.machine}"
        elif self.glibc > target.glibc:
            yield f"it is for glibc 2.{self.glibc}, and the image has 2.{target.glibc}"
        new, old = set(asked), set(self.asked)
        changes = [("now asks for", new - old), ("no longer asks for", old - new)]
        said = [f"{verb} {', '.join(sorted(lines))}" for verb, lines in changes if lines]
        if said:
            yield f"the environment file {' and '.join(said)}"


def lock_of(source: str, target: Target, lines: RequirementLines, pins: Iterable[str]) -> Lock:
    """The lock for an environment file that was resolved for an image."""
    return Lock(
        source, target.python, target.machine, target.glibc, asked_for(lines), tuple(sorted(pins))
    )


def asked_for(lines: RequirementLines) -> tuple[str, ...]:
    """What decides which packages an environment file leads to, one line for each thing."""
    requirements = (as_compared(line) for line in lines.requirements)
    constraints = (f"--constraint {as_compared(line)}" for line in lines.constraints)
    early = ("--pre" for option in lines.options if option == "--pre")
    return tuple(sorted({*requirements, *constraints, *early}))


def as_compared(line: str) -> str:
    """A requirement in one spelling, with its hashes in order."""
    requirement = parsed(line)
    if requirement is None:
        return line
    requirement.name = canonicalize_name(requirement.name)
    hashes = sorted(hashes_of(line).split(" --hash=")[1:])
    return " --hash=".join([str(requirement), *hashes])


def read_lock(file: Path) -> Lock | None:
    """Read a lock file; None when there is none.

    Raises
    ------
    UsageError
        The file is not one that ``scorehost build --lock`` has written.
    """
    if not file.is_file():
        return None
    text = read_text(file)
    found = _BLOCK.search(text)
    if found is None:
        raise UsageError(f"{file} has no block '# /// scorehost'. {_ANEW}")
    block = parse_toml("".join(f"{line[2:]}\n" for line in found["toml"].splitlines()), file)
    pins = [checked_pin(line, f"{file}, line {number}") for number, line in logical_lines(text)]
    try:
        return Lock(
            source=str(block["source"]),
            python=str(block["python"]),
            machine=str(block["machine"]),
            glibc=int(block["glibc"]),
            asked=tuple(map(str, block["asked"])),
            pins=tuple(pins),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file}: its block '# /// scorehost' lacks {error}. {_ANEW}") from error


def checked_pin(line: str, place: str) -> str:
    """The line, if it names one version, or an address, and the hash of one wheel."""
    checked(line, place)
    requirement = parsed(line)
    is_exact = requirement is not None and (requirement.url or pinned_version(line))
    if not is_exact or not _HASH.fullmatch(hashes_of(line)):
        raise UsageError(f"{place}: {line!r} is not name==version --hash=sha256:…. {_ANEW}")
    return line


_ANEW = "Make it anew: scorehost build --lock."
