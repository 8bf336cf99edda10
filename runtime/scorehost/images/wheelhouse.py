"""The wheels of one app: fetched once, kept, and explained when they are not to be had.

The same requirements on the same base image find the same wheels, also next month, so that
nothing is made anew for a release of some dependency; ``--upgrade`` looks again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import requires
from itertools import takewhile
from pathlib import Path

from packaging.version import InvalidVersion, Version

from scorehost.errors import UsageError
from scorehost.images.base_facts import BaseFacts
from scorehost.images.requirement_lines import RequirementLines, name_of, pinned_version
from scorehost.images.wheels import Target, download, name_and_version

DONE = ".complete"


@dataclass(frozen=True)
class Sources:
    """Where wheels come from.

    Parameters
    ----------
    wheelhouse : a folder that has them all; no index is asked then.
    index_url : instead of pip's own.
    ca_bundle : certificates to trust.
    """

    wheelhouse: Path | None = None
    index_url: str | None = None
    ca_bundle: Path | None = None

    def pip_options(self) -> list[str]:
        """What to tell pip on the host."""
        options = []
        if self.wheelhouse is not None:
            options += ["--no-index", "--find-links", str(self.wheelhouse)]
        if self.index_url is not None:
            options += ["--index-url", self.index_url]
        if self.ca_bundle is not None:
            options += ["--cert", str(self.ca_bundle)]
        return options


class Wheelhouse:
    """Fetches wheels for a base image.

    Parameters
    ----------
    facts : what the base image has.
    sources : where to look.
    cache : folder in which they are kept.
    environ : pip's environment.
    on_line : told what pip says.
    """

    def __init__(
        self,
        facts: BaseFacts,
        sources: Sources,
        cache: Path,
        environ: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> None:
        self.facts, self.sources, self.cache = facts, sources, cache
        self.environ, self.on_line = environ, on_line

    def fetch(self, lines: RequirementLines, *, anew: bool = False) -> Path:
        """A folder with the wheels that an image needs besides those of its base."""
        folder = self.cache / "wheels" / self._key(lines)
        if anew or not (folder / DONE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._download(lines, folder)
            self._drop_those_of_the_base(folder)
            (folder / DONE).touch()
        return folder

    def _key(self, lines: RequirementLines) -> str:
        """A name for the question, by everything that the answer depends on."""
        question: list[object] = [lines.requirements, lines.constraints, lines.options]
        question += [self.facts.python, self.facts.machine, self.facts.glibc]
        question += [sorted(self.facts.packages.items()), self.sources.index_url]
        if self.sources.wheelhouse is not None:
            files = self.sources.wheelhouse.glob("*.whl")
            question.append(sorted((file.name, file.stat().st_size) for file in files))
        return hashlib.sha256(json.dumps(question).encode()).hexdigest()[:24]

    def _download(self, lines: RequirementLines, folder: Path) -> None:
        """Fetch them; with the base's own versions if they will do, else with others."""
        wanted = folder / "requirements.txt"
        wanted.write_text("\n".join(lines.requirements) + "\n", "utf-8")
        said: list[str] = []
        for constraints in (as_in_base(self.facts.packages), what_scorehost_needs()):
            file = folder / "constraints.txt"
            file.write_text("\n".join([*constraints, *lines.constraints]) + "\n", "utf-8")
            said = download(
                wanted,
                folder,
                self.facts.target,
                options=[*self.sources.pip_options(), *lines.options, "--constraint", str(file)],
                environ=self.environ,
                on_line=self.on_line,
            )
            if not said:
                return
        raise UsageError(self._explain(lines, said))

    def _explain(self, lines: RequirementLines, said: Sequence[str]) -> str:
        asked = Index(self.facts.target, self.sources, lines.options, self.environ)
        problems = problems_of(lines.requirements, self.facts.python, asked.versions)
        return explain_failure(problems, said, self.facts.python)

    def _drop_those_of_the_base(self, folder: Path) -> None:
        own = {normal(name): version for name, version in self.facts.packages.items()}
        for wheel in folder.glob("*.whl"):
            name, version = name_and_version(wheel)
            if own.get(normal(name)) == version:
                wheel.unlink()


def normal(name: str) -> str:
    """A name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def as_in_base(packages: Mapping[str, str]) -> list[str]:
    """Constraints that keep what the base image has."""
    return [f"{name}=={version}" for name, version in sorted(packages.items()) if name != "pip"]


def what_scorehost_needs() -> list[str]:
    """Constraints that keep scorehost working beside the user's pins."""
    return [line for line in requires("scorehost") or () if "extra ==" not in line]


# -- Why not --------------------------------------------------------------------------------


class Index:
    """Asks which versions of a package have wheels that fit.

    Parameters are those of :class:`Wheelhouse`; ``options`` are a requirements file's own.
    """

    def __init__(
        self,
        target: Target,
        sources: Sources,
        options: Sequence[str],
        environ: Mapping[str, str],
    ) -> None:
        self.target, self.sources, self.environ = target, sources, environ
        self.options = [word for word in options if word != "--pre"]

    def versions(self, name: str) -> list[str] | None:
        """All of them, the newest first; None when nobody knows the package."""
        if self.sources.wheelhouse is not None:
            return versions_in(self.sources.wheelhouse, name)
        command = [sys.executable, "-m", "pip", "index", "versions", "--pre", name]
        command += ["--disable-pip-version-check", *self.target.pip_options()]
        command += [*self.sources.pip_options(), *self.options]
        done = subprocess.run(
            command, env=dict(self.environ), capture_output=True, text=True, check=False
        )
        found = re.search(r"^Available versions: (.*)$", done.stdout, re.MULTILINE)
        return found[1].split(", ") if found else None


def versions_in(folder: Path, name: str) -> list[str] | None:
    """The versions of a package that a folder has wheels of."""
    pairs = [name_and_version(wheel) for wheel in folder.glob("*.whl")]
    found = [version for each, version in pairs if normal(each) == normal(name)]
    return sorted(found, key=as_version, reverse=True) or None


def problems_of(
    requirements: Sequence[str], python: str, versions: Callable[[str], list[str] | None]
) -> list[str]:
    """One line for each requirement that cannot be had, with what could."""
    problems = []
    for line in requirements:
        name, pin = name_of(line), pinned_version(line)
        if not name:
            continue
        there = versions(name)
        if there is None:
            problems.append(
                f"{line}: no package of that name has a wheel for Python {python}. If it is one "
                "that only conda has, install what it is for in Dockerfile.steps; if it has only "
                "source code, build wheels ('pip wheel -w wheels …') and give --wheelhouse wheels."
            )
        elif pin is not None and not _has(there, pin):
            best = nearest_version(pin, there)
            problems.append(
                f"{line} has no wheel for Python {python}. The nearest version that has one is "
                f"{best}: {name}=={best}"
            )
    return problems


def _has(versions: Sequence[str], pin: str) -> bool:
    if pin.endswith(".*"):
        wanted = as_version(pin[:-2]).release
        return any(as_version(each).release[: len(wanted)] == wanted for each in versions)
    return any(as_version(each) == as_version(pin) for each in versions)


def nearest_version(pin: str, versions: Sequence[str]) -> str:
    """The next version after one that is not there; before it when there is none after."""
    wanted = as_version(pin.removesuffix(".*"))
    finished = [each for each in versions if not as_version(each).is_prerelease] or list(versions)
    ordered = sorted(finished, key=as_version)
    return next((each for each in ordered if as_version(each) > wanted), ordered[-1])


def as_version(text: str) -> Version:
    """A version to compare; what is none comes first."""
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0.dev0")


def explain_failure(problems: Sequence[str], said: Sequence[str], python: str) -> str:
    """What to say when wheels cannot be had."""
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        return f"Not every package can be had for the image's Python {python}.\n{listed}"
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR")]
    text = "\n".join(f"  {line}" for line in errors or list(said)[-5:])
    if re.search(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed", "\n".join(said)):
        text += "\n  Behind a company's proxy, name its certificates: --ca-bundle FILE."
    if "ResolutionImpossible" in text:
        conflict = _conflict(said)
        return f"The packages do not fit together; pip found no versions for all.\n{conflict}"
    return f"The packages cannot be fetched.\n{text}"


CONFLICT_WORDS = re.compile(r"The user requested \(constraint\)")
"""How pip calls a constraint of ours."""


def _conflict(said: Sequence[str]) -> str:
    begin = next((i for i, line in enumerate(said) if line.startswith("The conflict is")), None)
    lines = said[begin + 1 :] if begin is not None else said[-8:]
    kept = [line.strip() for line in takewhile(str.strip, lines) if not line.startswith("ERROR")]
    return "\n".join(f"  {CONFLICT_WORDS.sub('scorehost needs', line)}" for line in kept[:8])
