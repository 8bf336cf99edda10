"""``scorehost.lock``: the packages of an image, each with its wheel's hash.

It lies beside the environment file and belongs in version control. It is a requirements file that
pip installs as it is, with a block of metadata in comments, in the form that Python scripts have
theirs (https://peps.python.org/pep-0723/)::

    # /// scorehost
    # source = "myenv.yml"
    # python = "3.11"
    # machine = "x86_64"
    # glibc = "2.36"
    # asked = [
    #   "scikit-learn==1.5.*",
    # ]
    # digest = "sha256:8f3a…"
    # ///
    joblib==1.4.2 --hash=sha256:06d4…

An environment of conda's packages has a list of these, too: each with its address and hash.

Its wheels are those for one Python and platform. It is stale when the environment file asks for
something else, or when the image has another Python or platform. The digest is that of all other
lines: a file that was edited, or merged line by line, no longer says what uv chose.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from scorehost.errors import UsageError
from scorehost.images.conda_choice import CondaWish
from scorehost.images.requirement_lines import (
    RequirementLines,
    hashes_of,
    logical_lines,
    name_of,
    parsed,
    shown,
)
from scorehost.images.text import parse_toml, read_text
from scorehost.images.wheels import Target

NAME = "scorehost.lock"

_SPEC, _CHANNELS = _OF_CONDA = ("conda's ", "the channels ")
"""What the lines about conda's packages begin with."""

_BLOCK = re.compile(r"^# /// scorehost\n(?P<toml>(?:#.*\n)*?)# ///$", re.MULTILINE)
_DIGEST = re.compile(r'^# digest = "(.*)"\n', re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """What a lock file says.

    Parameters
    ----------
    source : the name of the environment file that it was made from.
    python, machine, glibc : what its wheels fit, as in :class:`Target`.
    asked : what the environment file asked for; see :func:`asked_for`.
    pins : one line for each package, exact, with the hash of its wheel.
    conda : one line for each of conda's packages; see :attr:`CondaPackage.line`.
    """

    source: str
    python: str
    machine: str
    glibc: int
    asked: tuple[str, ...]
    pins: tuple[str, ...]
    conda: tuple[str, ...] = ()

    def text(self) -> str:
        """The file's content."""
        block = [f"{name} = {json.dumps(getattr(self, name))}" for name in ("source", "python")]
        block += [f"machine = {json.dumps(self.machine)}", f'glibc = "2.{self.glibc}"']
        block += _as_list("asked", self.asked)
        if self.conda:
            block += _as_list("conda", self.conda)
        lines = ["/// scorehost", *block, "///"]
        lines.append(f"Made by 'scorehost build --lock'. Change {self.source}, not this file.")
        pins = [line.replace(" --hash", " \\\n    --hash") for line in self.pins]
        text = "\n".join([*(f"# {line}" for line in lines), *pins, ""])
        return text.replace("# ///\n", f'# digest = "{digest_of(text)}"\n# ///\n', 1)

    @property
    def all(self) -> tuple[str, ...]:
        """All packages, as pip writes exact versions."""
        conda = (line.split(" ") for line in self.conda)
        return (*(f"{name}=={version}" for name, version, *_ in conda), *self.pins)

    def why_stale(self, source: str, asked: Iterable[str], target: Target) -> str:
        """Why it does not fit what an environment file asks for, and an image; "" when it does."""
        return shown("; ".join([*self._platform(target), *self._changes(source, asked)]))

    def fits_conda(self, wish: CondaWish, target: Target) -> bool:
        """Whether its packages of conda's are those that an environment file leads to."""
        asked = tuple(line for line in self.asked if line.startswith(_OF_CONDA))
        return asked == asked_of_conda(wish) and not any(self._platform(target))

    def _platform(self, target: Target) -> Iterator[str]:
        if self.python != target.python:
            yield f"it is for Python {self.python}, and the image has {target.python}"
        if self.machine != target.machine:
            yield f"it is for {self.machine}, and the image is for {target.machine}"
        elif self.glibc > target.glibc:
            yield f"it is for glibc 2.{self.glibc}, and the image has 2.{target.glibc}"

    def _changes(self, source: str, asked: Iterable[str]) -> Iterator[str]:
        new, old = sorted(set(asked) - set(self.asked)), sorted(set(self.asked) - set(asked))
        if (new or old) and self.source != source:
            yield f"it was made from {self.source}, and this build uses {source}"
            return
        before = {name_of(line) or line: line for line in old}
        for line in new:
            was = before.pop(name_of(line) or line, None)
            yield f"{source} has {line} now{f', and had {was}' if was else ''}"
        for line in before.values():
            yield f"{source} no longer has {line}"


@dataclass(frozen=True)
class LockUse:
    """What a build does with the lock file beside its environment file.

    Parameters
    ----------
    file : the lock file, which need not exist.
    lock : what it says, if it exists.
    mode : "write" to make it anew, "require" to refuse one that is stale, "" to use one that fits.
    renew : the command that renews it.
    """

    file: Path
    lock: Lock | None
    mode: str
    renew: str


def _as_list(name: str, lines: Iterable[str]) -> list[str]:
    """A list of strings, as TOML writes it."""
    return [f"{name} = [", *(f"  {json.dumps(line, ensure_ascii=False)}," for line in lines), "]"]


def lock_of(
    source: str, target: Target, asked: tuple[str, ...], pins: Iterable[str], conda: Iterable[str]
) -> Lock:
    """The lock for an environment file that was resolved for an image."""
    platform = (target.python, target.machine, target.glibc)
    return Lock(source, *platform, asked, tuple(sorted(pins)), tuple(sorted(conda)))


def asked_of_conda(conda: CondaWish | None) -> tuple[str, ...]:
    """What decides which of conda's packages an environment file leads to."""
    if conda is None:
        return ()
    channels = _CHANNELS + (", ".join(conda.channels) or "defaults")
    return (*sorted(_SPEC + spec for spec in (*conda.listed, *conda.python)), channels)


def asked_for(lines: RequirementLines, conda: CondaWish | None = None) -> tuple[str, ...]:
    """What decides which packages an environment file leads to, one line for each thing."""
    requirements = (as_compared(line) for line in lines.requirements)
    constraints = (f"--constraint {as_compared(line)}" for line in lines.constraints)
    early = ("--pre" for option in lines.options if option == "--pre")
    return (*sorted({*requirements, *constraints, *early}), *asked_of_conda(conda))


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
        The file is not as ``scorehost build --lock`` wrote it.
    """
    if not file.is_file():
        return None
    text = read_text(file)
    block, digest = _BLOCK.search(text), _DIGEST.search(text)
    if block is None or digest is None:
        raise UsageError(f"{file} was not written by 'scorehost build --lock'.")
    if digest[1] != digest_of(_DIGEST.sub("", text)):
        raise UsageError(
            f"{file} is not as 'scorehost build --lock' wrote it: it was edited or merged."
        )
    says = parse_toml("".join(f"{line[2:]}\n" for line in block["toml"].splitlines()), file)
    return Lock(
        source=says["source"],
        python=says["python"],
        machine=says["machine"],
        glibc=int(says["glibc"].partition(".")[2]),
        asked=tuple(says["asked"]),
        pins=tuple(line for _, line in logical_lines(text)),
        conda=tuple(says.get("conda", ())),
    )


def digest_of(text: str) -> str:
    """The digest of a lock file's other lines."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
