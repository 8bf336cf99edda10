"""The wheels of an app: chosen by uv, fetched by pip, and kept.

The same requirements on the same base image get the same wheels, even a month later, so that the
release of some dependency rebuilds nothing; ``--upgrade`` chooses and fetches them again. A lock
file's wheels are the same everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.utils import canonicalize_name

from scorehost.errors import UsageError
from scorehost.images.base_facts import BaseFacts
from scorehost.images.display import Display
from scorehost.images.locks import alone
from scorehost.images.missing_wheels import errors_of, not_fetched, why_not
from scorehost.images.requirement_lines import (
    RequirementLines,
    hashes_of,
    key_of,
    name_of,
    parsed,
    shown,
    without_hashes,
)
from scorehost.images.resolver import FOUND, Resolver
from scorehost.images.wheels import Sources, Target, digest_of, download, expanded, name_and_version

DONE = "requirements.lock"
"""The list of a folder's wheels with their hashes, which is written last."""


@dataclass(frozen=True)
class Wheels:
    """The wheels that an image needs.

    Parameters
    ----------
    files : those that its base does not have already.
    pins : one line for each package, also for those of the base, exact and with its wheel's hash.
    """

    files: tuple[Path, ...]
    pins: tuple[str, ...]


class Wheelhouse:
    """Chooses and fetches wheels for a base image, and keeps them in a folder, ``cache``.

    ``environ`` is the environment of pip and uv, ``display`` is told what takes its time and what
    is notable, and ``on_line`` is called with each line of a log.
    """

    def __init__(
        self,
        facts: BaseFacts,
        sources: Sources,
        cache: Path,
        environ: Mapping[str, str],
        display: Display,
        on_line: Callable[[str], None],
    ) -> None:
        self.facts, self.sources, self.cache = facts, sources, cache
        self.environ, self.display, self.on_line = environ, display, on_line

    def resolved(
        self, lines: RequirementLines, *, preferred: Iterable[str] = (), anew: bool = False
    ) -> Wheels:
        """The wheels for an environment file's requirements.

        Parameters
        ----------
        preferred : the pins of an older lock file, which are kept where they still fit.
        anew : whether to choose again what was chosen before.

        Raises
        ------
        UsageError
            No set of versions meets the requirements, or wheels cannot be fetched.
        """
        if not lines.requirements:
            return Wheels((), ())
        pins = [without_hashes(line) for line in preferred]
        folder = self._folder(lines.requirements, lines.constraints, lines.options, pins)
        with alone(self.cache, folder.name):
            if anew or not (folder / DONE).is_file():
                self._fetch(self._choose(lines, pins), lines.options, folder)
            return self._wheels(folder)

    def locked(self, pins: Iterable[str], options: Iterable[str]) -> Wheels:
        """The wheels of a lock file; ``options`` are those of the environment file."""
        pins, options = list(pins), list(options)
        if not pins:
            return Wheels((), ())
        folder = self._folder(pins, options)
        with alone(self.cache, folder.name):
            if not (folder / DONE).is_file():
                self._fetch(pins, [*options, "--require-hashes"], folder)
            return self._wheels(folder)

    def _folder(self, *question: object) -> Path:
        """A folder named after everything that decides which wheels are fetched."""
        facts = self.facts
        parts = [*question, facts.release, facts.machine, facts.glibc]
        parts += [sorted(facts.packages.items()), self.sources.index_url]
        if self.sources.wheelhouse is not None:
            files = self.sources.wheelhouse.glob("*.whl")
            states = ((file.name, file.stat()) for file in files)
            parts.append(sorted((name, at.st_size, at.st_mtime_ns) for name, at in states))
        name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
        return self.cache / "wheels" / name

    def _choose(self, lines: RequirementLines, preferred: Iterable[str]) -> list[str]:
        """Exact requirements, with the hashes that the environment file has for them."""
        self.display.doing("choosing the versions of packages")
        resolver = Resolver(
            self.facts.target, self.sources, lines.options, self.environ, self.cache / "uv"
        )
        answer = resolver.resolve(
            lines.requirements,
            constraints=lines.constraints,
            preferred={**by_name(as_in_base(self.facts.packages)), **by_name(preferred)}.values(),
        )
        if answer.status != FOUND:
            raise UsageError(why_not(lines.requirements, answer, resolver))
        hashes = hashes_given([*lines.requirements, *lines.constraints], self.facts.target)
        for pin in answer.pins:
            self.on_line(f"uv chose {pin}")
        for refusal in resolver.refusals(answer.pins):
            self.display.note(refusal)
        if hashes or "--require-hashes" in lines.options or resolver.hashes_required:
            check_all_hashed(answer.pins, hashes)
        return [f"{pin}{hashes.get(key_of(pin), '')}" for pin in answer.pins]

    def _fetch(self, pins: Sequence[str], options: Iterable[str], folder: Path) -> None:
        """Fetch the wheels of a folder, which is there whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix="fetching-") as place:
            new = Path(place, "new")
            new.mkdir()
            self._fill(pins, options, new)
            if folder.exists():
                folder.rename(Path(place, "old"))
            new.rename(folder)

    def _fill(self, pins: Sequence[str], options: Iterable[str], folder: Path) -> None:
        """Fetch wheels, remove those that the base has, and write the list of all."""
        self.display.doing(f"fetching {len(pins)} package{'s' if len(pins) != 1 else ''}")
        wanted = folder / "requirements.txt"
        wanted.write_text("".join(f"{pin}\n" for pin in pins), "utf-8")
        said = download(
            wanted,
            folder,
            self.facts.target,
            options=[*expanded(list(options), self.environ), *self.sources.pip_options()],
            environ=self.environ,
            on_line=self.on_line,
        )
        if said:
            place = re.compile(rf" \(from -r {re.escape(str(wanted))} \(line \d+\)\)")
            raise UsageError(not_fetched(errors_of(place.sub("", line) for line in said)))
        wheels = {name_and_version(file)[0]: file for file in folder.glob("*.whl")}
        listed = [
            f"{without_hashes(pin)} --hash={digest_of(wheels[name_of(pin)])}\n" for pin in pins
        ]
        own = {(canonicalize_name(name), at) for name, at in self.facts.packages.items()}
        for file in wheels.values():
            if name_and_version(file) in own:
                file.unlink()
        (folder / DONE).write_text("".join(listed), "utf-8")

    def _wheels(self, folder: Path) -> Wheels:
        pins = (folder / DONE).read_text("utf-8").splitlines()
        return Wheels(tuple(sorted(folder.glob("*.whl"))), tuple(pins))


def hashes_given(lines: Iterable[str], target: Target) -> dict[str, str]:
    """The hashes that requirements have, of those that the image needs, by :func:`key_of`."""
    hashes: dict[str, str] = {}
    for line in lines:
        requirement = parsed(line)
        if hashes_of(line) and (requirement is None or target.needs(requirement)):
            hashes[key_of(line)] = hashes.get(key_of(line), "") + hashes_of(line)
    return hashes


def check_all_hashed(pins: Iterable[str], hashes: Mapping[str, str]) -> None:
    """Refuse packages without a hash when others have one: all or none, as with pip.

    The address of a wheel may have its hash at the end.
    """
    missing = [pin for pin in pins if key_of(pin) not in hashes and "#sha256=" not in pin]
    if missing:
        raise UsageError(
            "Some packages of the environment file have hashes, or pip's setting require-hashes "
            "is on, so every package must have one. These have none: "
            f"{', '.join(map(shown, missing))}. List them with their hashes; or remove all hashes "
            "and use 'scorehost build --lock', which writes them."
        )


def by_name(pins: Iterable[str]) -> dict[str, str]:
    """Pins by their packages' names."""
    return {name_of(pin): pin for pin in pins}


def as_in_base(packages: Mapping[str, str]) -> list[str]:
    """Pins with the versions of the base image."""
    return [f"{name}=={version}" for name, version in sorted(packages.items()) if name != "pip"]
