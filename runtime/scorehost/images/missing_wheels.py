"""Why an image cannot have its packages: the requirement at fault, and what to ask for instead.

A resolver stops at the first contradiction, and its explanation need not name what the person can
change. So uv is asked again about each requirement by itself, with and without what it depends on,
and for the nearest version of one that is not available. Its answers are yes or no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from textwrap import wrap

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from scorehost.diagnosis.module_names import DISTRIBUTIONS, distribution_of
from scorehost.images.conda_names import CONDA_NAMES, remedy
from scorehost.images.requirement_lines import parsed, pinned_version, shown, without_hashes
from scorehost.images.resolver import FIRST, FOUND, NONE_FITS, Answer, Resolver
from scorehost.names import nearest

AT_ONCE = 4
"""How many questions are asked at the same time."""

WIDTH, MOST_LINES = 96, 24
"""How a program's output is shown: the width of its lines, and how many of them."""

ERROR = "ERROR: "
COMPLAINTS = (ERROR, "WARNING: ")
"""How lines of pip begin that say what is wrong: an index that is ignored is only warned of."""

NO_WHEEL = "no package of that name has a wheel for Python"
UNKNOWN = """\
  Check the spelling of such a name, and that the index has it ('pip config list' tells which). If
  only conda has the package, install what it provides in Dockerfile.steps. If only its source code
  is published, build wheels ('pip wheel -w wheels …') and use --wheelhouse wheels."""
"""What to do about packages that have no wheel at all."""

KNOWN = frozenset({*DISTRIBUTIONS.values(), *CONDA_NAMES})
LIKE = 0.85
"""The names that a misspelled one is compared with, and how alike they must be."""

ALONE = ("--no-deps",)
OLDEST = ("--resolution", "lowest")


# -- Which requirement ----------------------------------------------------------------------


def why_not(requirements: Sequence[str], answer: Answer, resolver: Resolver) -> str:
    """The message for requirements that cannot be met.

    Parameters
    ----------
    requirements : what was asked for, one per line.
    answer : uv's answer to all of them together.
    """
    if answer.status != NONE_FITS:
        return not_fetched(answer.said)
    python = resolver.target.python
    wanted = [line for line in requirements if _applies(line, resolver)]
    if missing := list(_each(partial(problem_of, resolver), wanted)):
        listed = "\n".join(f"  {line}" for line in missing)
        advice = f"\n{UNKNOWN}" if NO_WHEEL in listed else ""
        return f"Some packages are not available for the image's Python {python}.\n{listed}{advice}"
    if alone := list(_each(partial(_problem_below, resolver), wanted)):
        return "\n".join(alone)
    explained = _indented(without_title(answer.said))
    return f"The packages conflict: no set of versions meets all requirements.\n{explained}"


def _each(ask: Callable[[str], str], requirements: Iterable[str]) -> Iterator[str]:
    """The problems of requirements, of those that have one, in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from filter(None, pool.map(ask, requirements))


def _applies(line: str, resolver: Resolver) -> bool:
    requirement = parsed(line)
    return requirement is None or resolver.target.needs(requirement)


def problem_of(resolver: Resolver, line: str) -> str:
    """Why a requirement is not available by itself, and what is; "" when it is available."""
    answer = resolver.resolve([line], options=ALONE)
    if answer.status == FOUND:
        return ""
    requirement = parsed(line)
    if answer.status != NONE_FITS or requirement is None or requirement.url is not None:
        return f"{shown(without_hashes(line))}: {' '.join(without_title(answer.said))}"
    requirement.marker = None
    return Nearest(resolver, requirement).problem()


class Nearest:
    """Which versions of a package are available in place of the one that is not."""

    def __init__(self, resolver: Resolver, requirement: Requirement) -> None:
        self.resolver, self.requirement = resolver, requirement
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        self.name, self.python = f"{requirement.name}{extras}", resolver.target.python

    def problem(self) -> str:
        """One sentence or two about the requirement."""
        newest = self._version("")
        if newest is None:
            return f"{self.requirement}: {self._why_none()}"
        refused = f"{self.requirement} has no wheel for Python {self.python}."
        pin = version_of(pinned_version(str(self.requirement)))
        if pin is None:
            oldest = self._version("", *OLDEST)
            return f"{refused} There are wheels for versions {oldest} to {newest}."
        best = self._after(pin) or self._version(f"<{pin.public}") or newest
        advice = f"The nearest version that has one is {best}: {self.name}=={best}"
        if pin.local:
            advice += (
                f". Versions such as +{pin.local} are on an index of their own: name it with "
                "--extra-index-url in the environment file"
            )
        return f"{refused} {advice}"

    def _why_none(self) -> str:
        """Why a package has no wheel for the image, in any version."""
        again = self.resolver.resolve([self.name], options=ALONE, strategy=FIRST)
        if again.hints:  # an index that wants a password, for one
            return " ".join(again.hints)
        name = self.requirement.name
        if (what_to_do := remedy(name.lower())) is not None:
            return what_to_do
        module = distribution_of(name)
        meant = module if module != name else nearest(name, KNOWN, like=LIKE)
        question = f" Did you mean {meant}?" if meant and meant != name else ""
        return f"{NO_WHEEL} {self.python}.{question}"

    def _after(self, pin: Version) -> str | None:
        return self._version(f"{'>=' if pin.local else '>'}{pin.public}", *OLDEST)

    def _version(self, specifier: str, *options: str) -> str | None:
        answer = self.resolver.resolve([f"{self.name}{specifier}"], options=[*ALONE, *options])
        return pinned_version(answer.pins[0]) if answer.pins else None


def version_of(pin: str | None) -> Version | None:
    """The version of a pin; None for a range, and for text that cannot be read as a version."""
    try:
        return Version(pin.removesuffix(".*")) if pin else None
    except InvalidVersion:
        return None


def _problem_below(resolver: Resolver, line: str) -> str:
    """Why a requirement that is available cannot be installed with what it depends on."""
    answer = resolver.resolve([line])
    if answer.status == FOUND:
        return ""
    requirement = shown(without_hashes(line))
    explained = _indented(without_title(answer.said))
    return f"{requirement} needs packages that are not available:\n{explained}"


# -- Messages -------------------------------------------------------------------------------


def not_fetched(said: Sequence[str]) -> str:
    """The message for a program that could not look, or could not fetch, from what it said."""
    text = "\n".join(said)
    return f"The packages cannot be fetched.\n{_indented(said)}{advice_for(text)}"


def advice_for(text: str) -> str:
    """What to do about an index that cannot be reached; "" when that is not the problem."""
    lowered = text.lower()
    if "certificate" in lowered:
        return "\n  Behind a company proxy, give its certificates with --ca-bundle FILE."
    if any(sign in lowered for sign in ("connect", "dns", "timed out")):
        return "\n  Check the network and the address; a proxy is set with https_proxy."
    return ""


def errors_of(said: Iterable[str]) -> list[str]:
    """What pip complains of, each line with the indented ones below it that give details."""
    said = list(said)
    errors: list[str] = []
    warnings: list[str] = []
    into: list[str] | None = None
    for line in said:
        if line.startswith(COMPLAINTS):
            into = errors if line.startswith(ERROR) else warnings
        elif not line.startswith("    "):
            into = None
        if into is not None and line not in into:
            into.append(line.removeprefix(ERROR))
    return [*errors, *warnings] or said[-5:]


def without_title(said: Sequence[str]) -> Sequence[str]:
    """The explanation of uv without the line that says that there is one."""
    return said[1:] if said and said[0].startswith("No solution found") else said


def _indented(lines: Iterable[str]) -> str:
    wrapped = (part for line in lines for part in wrap(line, WIDTH, break_on_hyphens=False))
    return "\n".join(f"  {line}" for line in islice(wrapped, MOST_LINES))
