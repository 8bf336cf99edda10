"""The wheels of an app, which are fetched once and kept.

The same requirements on the same base image get the same wheels, even a month later, so that the
release of some dependency rebuilds nothing; ``--upgrade`` fetches them again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import requires
from pathlib import Path

from packaging.utils import canonicalize_name

from scorehost.errors import UsageError
from scorehost.images.base_facts import BaseFacts
from scorehost.images.missing_wheels import Index, explain_failure, not_reached, problems_of
from scorehost.images.requirement_lines import RequirementLines
from scorehost.images.wheels import Sources, download, name_and_version

DONE = ".complete"


class Wheelhouse:
    """Fetches wheels for a base image and keeps them in a folder, ``cache``.

    ``environ`` is pip's environment, and ``on_line`` is called with each line of its output.
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
        """A folder with the wheels that an image needs besides those of its base.

        Raises
        ------
        UsageError
            pip cannot fetch them.
        """
        folder = self.cache / "wheels" / self._key(lines)
        if anew or not (folder / DONE).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._download(lines, folder)
            own = {(canonicalize_name(name), at) for name, at in self.facts.packages.items()}
            for wheel in folder.glob("*.whl"):
                if name_and_version(wheel) in own:
                    wheel.unlink()
            (folder / DONE).touch()
        return folder

    def _key(self, lines: RequirementLines) -> str:
        """A folder name made from everything that decides which wheels are fetched."""
        question: list[object] = [lines.requirements, lines.constraints, lines.options]
        question += [self.facts.python, self.facts.machine, self.facts.glibc]
        question += [sorted(self.facts.packages.items()), self.sources.index_url]
        if self.sources.wheelhouse is not None:
            files = self.sources.wheelhouse.glob("*.whl")
            question.append(sorted((file.name, file.stat().st_size) for file in files))
        return hashlib.sha256(json.dumps(question).encode()).hexdigest()[:24]

    def _download(self, lines: RequirementLines, folder: Path) -> None:
        """Fetch the wheels, with the base image's versions if possible, otherwise with others."""
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
            if not_reached(said):
                raise UsageError(explain_failure([], said, self.facts.python))
        asked = Index(self.facts.target, self.sources, lines.options, self.environ)
        problems = problems_of(lines.requirements, self.facts.target, asked.versions)
        raise UsageError(explain_failure(problems, said, self.facts.python))


def as_in_base(packages: Mapping[str, str]) -> list[str]:
    """Constraints that keep the versions of the base image."""
    return [f"{name}=={version}" for name, version in sorted(packages.items()) if name != "pip"]


def what_scorehost_needs() -> list[str]:
    """Constraints that keep scorehost working with the user's pins."""
    return [line for line in requires("scorehost") or () if "extra ==" not in line]
