"""Which Python an image has for its script: the one that the environment file asks for.

Only the minor version counts. Its patch release is that of the image, with the security fixes of
later ones. A version that scorehost does not run is replaced by the nearest that it does, with a
note, or refused under ``--strict``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from scorehost.errors import UsageError
from scorehost.images.text import read_text

OR = "|"
"""What conda writes between versions of which either will do."""

VERSION_FILE = ".python-version"
"""The file in which pyenv and uv keep the Python of a folder."""

_EXACT = re.compile(r"={2,3}\s*(\d+)(?:\.(\d+)(?:\.\d+\w*)?)?(?:\.\*)?")
_TYPED = re.compile(r"(\d+\.\d+)(?:\.\d+\w*)?")
_IN_VERSION_FILE = re.compile(
    r"(?:c?python[-@]?)?(\d+\.\d+)(?:\.\d+(?:(?:a|b|rc)\d+)?)?(?:-dev)?(?:-(?:linux|macos|windows)-.*|/envs/.*)?",
    re.IGNORECASE,
)

_OLDER = tuple(f"3.{minor}" for minor in range(8))
_PYTHON_2 = ("2.6", "2.7")


@dataclass(frozen=True)
class Wish:
    """What an app asks for.

    Parameters
    ----------
    constraint : on Python's version, as pip writes it: "==3.8.13"; "" for any.
    source : where it stands: "myenv.yml", "--python 3.8".
    strict : whether another version than the one asked for is refused.
    """

    constraint: str = ""
    source: str = ""
    strict: bool = False

    @property
    def typed(self) -> bool:
        """Whether it was typed, and the source is the option with its value."""
        return self.source.startswith("--")

    def choose(self, own: str, others: Sequence[str]) -> tuple[str, list[str]]:
        """Choose a version, and say what is notable about it.

        Parameters
        ----------
        own : the version that the base image has, which is taken if it is accepted.
        others : those that it can have instead, the oldest first.

        Raises
        ------
        UsageError
            There is no such Python, or only another than the one asked for is there.
        """
        if not self.constraint or accepts(self.constraint, own):
            return own, []
        fitting = [version for version in others if accepts(self.constraint, version)]
        if fitting:
            return min(fitting, key=lambda version: _distance(version, own)), []
        version = self.constraint.removeprefix("==").removesuffix(".*")
        asked = f"{self.source} asks for Python {version}"
        if self.typed:
            asked = f"{self.source} cannot be had"
        there = f"Scripts run under Python {others[0]} to {others[-1]}"
        if not any(accepts(self.constraint, version) for version in _OLDER):
            older = any(accepts(self.constraint, version) for version in _PYTHON_2)
            advice = "Port the script to Python 3" if older else "Ask for one of these"
            raise UsageError(f"{asked}. {there}. {advice}.")
        if self.strict:
            raise UsageError(
                f"{asked}. {there}, and --strict does not accept the nearest, {others[0]}."
            )
        note = (
            f"{asked}; the image has {others[0]}, the oldest that scorehost runs. "
            f"Versions that have no wheel for {others[0]} are named, if there are any. Models "
            "that were pickled under the older Python may have to be saved again"
        )
        return others[0], [note]


def wish_of(
    folder: Path, constraint: str, source: str, typed: str | None, *, strict: bool
) -> tuple[Wish, list[str]]:
    """What an app asks for, and what is notable about that.

    Parameters
    ----------
    folder : the app's, in which a ``.python-version`` may lie.
    constraint, source : what the environment file asks for, and its name.
    typed : the value of ``--python``, which wins over everything.

    Raises
    ------
    UsageError
        What was typed is not a version, or the environment file's constraint is none.
    """
    try:
        accepts(constraint, "3.11")
    except UsageError as error:
        raise UsageError(
            f"{source}: {constraint!r} is not a valid constraint on Python's version. "
            "Write it like >=3.10 or ==3.11.*"
        ) from error
    if typed is not None:
        found = _TYPED.fullmatch(typed)
        if found is None:
            raise UsageError(f"--python {typed} is not a version. Write it like --python 3.10")
        wins = f"--python {typed} wins over {source}, which asks for python{constraint}"
        notes = [] if not constraint or accepts(constraint, found[1]) else [wins]
        return Wish(f"=={found[1]}.*", f"--python {typed}", strict), notes
    file = folder / VERSION_FILE
    if not file.is_file():
        return Wish(constraint, source, strict), []
    lines = (line.partition("#")[0].strip() for line in read_text(file).splitlines())
    first = next(filter(None, lines), "")
    found = _IN_VERSION_FILE.fullmatch(first)
    if found is None:
        return Wish(constraint, source, strict), [
            f"{VERSION_FILE} is ignored: {first!r} is not a version"
        ]
    if constraint and not accepts(constraint, found[1]):
        return Wish(constraint, source, strict), [
            f"{VERSION_FILE} is ignored: it has {first}, and {source} asks for python{constraint}"
        ]
    return Wish(f"=={found[1]}.*", VERSION_FILE, strict), []


def accepts(constraint: str, python: str) -> bool:
    """Whether a Python, by its major and minor version, satisfies a constraint.

    Its patch release does not count: an image has one, with the security fixes of later ones.
    """
    if OR in constraint:
        return any(accepts(part, python) for part in constraint.split(OR))
    exact = _EXACT.fullmatch(constraint)
    if exact:
        major, _, minor = python.partition(".")
        return exact[1] == major and exact[2] in {minor, None}
    try:
        accepted = SpecifierSet(constraint)
    except InvalidSpecifier:
        raise UsageError(
            f"'python{constraint}' is not a valid constraint on Python's version. Write it like "
            "python>=3.10 or python=3.11."
        ) from None
    return any(accepted.contains(f"{python}.{patch}") for patch in range(100))


def _distance(version: str, own: str) -> tuple[int, int]:
    """How far a version is from another; of two that are equally far, the newer is nearer."""
    minor = int(version.partition(".")[2])
    return abs(minor - int(own.partition(".")[2])), -minor
