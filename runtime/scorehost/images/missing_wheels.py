"""Why wheels are not available: for which requirement, and which versions are available instead.

pip stops at the first requirement that it cannot meet, or reports several as a conflict, depending
on its version. So it is asked about each requirement separately, with a question that every
version of pip answers alike.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, takewhile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from scorehost.images.requirement_lines import parsed, pinned_version
from scorehost.images.wheels import Sources, Target, download, name_and_version

IMPOSSIBLE = "<0.dev0"
"""A specifier that no version meets: pip refuses, and lists the versions whose wheels would fit.

``pip index versions`` seems made for this, but older versions of pip also list there those that
have only source code.
"""

AT_ONCE = 4
"""How many packages pip is asked about at the same time."""

LONGEST = 300
MOST_LINES = 20
"""How many characters of a line of pip's output, and how many lines, are shown."""

_LISTED = re.compile(r"\(from versions: (.*)\)")
_REFUSED = re.compile(r"satisfies the requirement ([^\s(]+)")
_GIVEN_UP = re.compile(
    r"Retry\(total=0,.*?broken by '(?P<why>.*)': |Could not fetch URL (?P<url>.*)"
)
_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed")
_ADDRESS = re.compile(r"<pip\._vendor\.[^>]*>: ")

CONSTRAINED = "The user requested (constraint)"
"""pip's words for a constraint, which here is one of scorehost's."""


class Index:
    """Asks pip which versions of a package have wheels that fit a target.

    ``options`` are those of a requirements file, and ``environ`` is pip's environment.
    """

    def __init__(
        self, target: Target, sources: Sources, options: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        self.target, self.sources, self.environ = target, sources, environ
        self.options = [word for word in options if word != "--require-hashes"]

    def versions(self, name: str) -> list[str] | None:
        """The versions with a wheel that fits; None when pip did not list them."""
        if self.sources.wheelhouse is not None:
            return versions_in(self.sources.wheelhouse, name)
        with tempfile.TemporaryDirectory(prefix="scorehost-") as place:
            question = Path(place, "requirements.txt")
            question.write_text(f"{name}{IMPOSSIBLE}\n", "utf-8")
            options = [*self.sources.pip_options(), *self.options, "--no-deps"]
            said = download(
                question, Path(place), self.target, options=options, environ=self.environ
            )
        return versions_told(said)


def versions_in(folder: Path, name: str) -> list[str]:
    """The versions of a package of which a folder has wheels."""
    pairs = [name_and_version(wheel) for wheel in folder.glob("*.whl")]
    return [version for each, version in pairs if each == canonicalize_name(name)]


def versions_told(said: Sequence[str]) -> list[str] | None:
    """The versions that pip lists when it refuses; None when its output is something else."""
    found = _LISTED.search("\n".join(said))
    if found is None or not_reached(said):
        return None
    return [] if found[1] == "none" else found[1].split(", ")


# -- Which requirement ----------------------------------------------------------------------


def problems_of(
    requirements: Iterable[str], target: Target, versions: Callable[[str], list[str] | None]
) -> list[str]:
    """One line for each requirement that is not available, with the versions that are."""
    wanted = list(_asked_of_an_index(requirements, target))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        listed = pool.map(versions, [requirement.name for requirement in wanted])
    return [
        problem
        for requirement, there in zip(wanted, listed, strict=True)
        if there is not None and (problem := problem_of(requirement, target.python, there))
    ]


def _asked_of_an_index(requirements: Iterable[str], target: Target) -> Iterator[Requirement]:
    """The requirements that the image needs and that have no address of their own."""
    for line in requirements:
        requirement = parsed(line)
        if requirement and requirement.url is None and target.needs(requirement):
            requirement.marker = None
            yield requirement


def problem_of(requirement: Requirement, python: str, there: Sequence[str]) -> str:
    """Why a requirement is not available, given the versions that are; "" when it is."""
    known = sorted((each for each in there if _is_version(each)), key=Version)
    if not known:
        return (
            f"{requirement}: no package of that name has a wheel for Python {python}. If only "
            "conda has the package, install what it provides in Dockerfile.steps; if only its "
            "source code is published, build wheels ('pip wheel -w wheels …') and use "
            "--wheelhouse wheels."
        )
    if any(requirement.specifier.filter(known, prereleases=True)):
        return ""
    refused = f"{requirement} has no wheel for Python {python}."
    pin = pinned_version(str(requirement))
    if pin is None or not _is_version(pin.removesuffix(".*")):
        return f"{refused} There are wheels for versions {known[0]} to {known[-1]}."
    best = nearest_version(pin, known)
    return f"{refused} The nearest version that has one is {best}: {requirement.name}=={best}"


def problem_told(said: Sequence[str], python: str) -> str:
    """The problem behind pip's refusal of one requirement; "" when it failed otherwise."""
    found = _REFUSED.search("\n".join(said))
    there = versions_told(said)
    if found is None or there is None:
        return ""
    requirement = parsed(found[1].rstrip(";"))
    return problem_of(requirement, python, there) if requirement else ""


def nearest_version(pin: str, versions: Sequence[str]) -> str:
    """The next version after a missing one, or the last when there is none after it."""
    wanted = Version(pin.removesuffix(".*"))
    finished = [each for each in versions if not Version(each).is_prerelease] or list(versions)
    ordered = sorted(finished, key=Version)
    return next((each for each in ordered if Version(each) > wanted), ordered[-1])


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


# -- Messages -------------------------------------------------------------------------------


def explain_failure(problems: Sequence[str], said: Sequence[str], python: str) -> str:
    """The message for wheels that could not be fetched, from all problems and pip's output."""
    if reason := not_reached(said):
        return f"The packages cannot be fetched: an index cannot be reached.\n  {reason}"
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        return f"Some packages are not available for the image's Python {python}.\n{listed}"
    text = "\n".join(said)
    if "No module named pip" in text:
        return f"{sys.executable} has no pip. Install it with 'python -m ensurepip'."
    if "ResolutionImpossible" in text:
        conflict = _conflict(said)
        return f"The packages conflict: no set of versions meets all requirements.\n{conflict}"
    errors = list(islice(_errors(said), MOST_LINES))
    shown = "\n".join(f"  {_shortened(line)}" for line in errors or list(said)[-5:])
    return f"The packages cannot be fetched.\n{shown}"


def _errors(said: Iterable[str]) -> Iterator[str]:
    """The errors, each with the indented lines below it that give details."""
    telling = False
    for line in said:
        error = line.startswith("ERROR") and not line.startswith("ERROR: Ignored the following")
        telling = error or (telling and line.startswith("    "))
        if telling:
            yield line.removeprefix("ERROR: ")


def not_reached(said: Sequence[str]) -> str:
    """Why pip gave up on an index, and what to do; "" when it did not."""
    text = "\n".join(said)
    found = _GIVEN_UP.search(text)
    if found is None:
        return ""
    advice = (
        "Behind a company proxy, give its certificates with --ca-bundle FILE."
        if _CERTIFICATE.search(text)
        else "Check the network and the address; a proxy is set with https_proxy."
    )
    why = _ADDRESS.sub("", found["why"] or found["url"])
    return f"{_shortened(why)}\n  {advice}"


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _conflict(said: Sequence[str]) -> str:
    begin = next((i for i, line in enumerate(said) if line.startswith("The conflict is")), None)
    lines = said[begin + 1 :] if begin is not None else said[-8:]
    kept = [line.strip() for line in takewhile(str.strip, lines) if not line.startswith("ERROR")]
    return "\n".join(f"  {line.replace(CONSTRAINED, 'scorehost needs')}" for line in kept[:8])
