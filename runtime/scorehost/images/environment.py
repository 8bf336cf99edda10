"""Which packages an app needs, from whatever file says so.

Looked for in this order: ``myenv.yml`` and conda's other usual names, ``requirements.txt``,
``pyproject.toml``. The packages of other scoring servers are replaced by scorehost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from scorehost.errors import UsageError
from scorehost.images import toml
from scorehost.images.conda import read_conda
from scorehost.images.requirement_lines import RequirementLines, checked, name_of, read_requirements
from scorehost.images.text import read_text

CONDA_FILES = (
    "myenv.yml",
    "myenv.yaml",
    "environment.yml",
    "environment.yaml",
    "conda.yml",
    "conda.yaml",
    "conda_dependencies.yml",
)
FILES = (*CONDA_FILES, "requirements.txt", "pyproject.toml")

REPLACED = {
    "azureml-defaults": "scorehost has what it is for: the server, and Model.get_model_path",
    "azureml-inference-server-http": "scorehost is the server, and azmlinfsrv its command",
    "azureml-contrib-services": "scorehost has AMLRequest, AMLResponse and rawhttp",
    "scorehost": "the base image has it",
}
"""Packages that are left out, and why nothing is missing without them."""


@dataclass
class Environment:
    """The packages of an image.

    Parameters
    ----------
    source : the file it came from, "" when there is none.
    lines : requirements, constraints and options, for pip.
    python : constraint on Python's version, "" when any will do.
    variables : environment variables that it sets.
    notes : what was replaced, renamed or left out, for the person to hear.
    """

    source: str = ""
    lines: RequirementLines = field(default_factory=RequirementLines)
    python: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_environment(folder: Path, named: Path | None) -> Environment:
    """The environment of a folder: the file that is named, or the first of the usual ones."""
    if named is not None:
        if not named.is_file():
            raise UsageError(f"The environment file {named} is not there.")
        return read_environment(named)
    there = [name for name in FILES if (folder / name).is_file()]
    if not there:
        nothing = "no myenv.yml, requirements.txt or pyproject.toml: only scorehost and numpy"
        return Environment(notes=[nothing])
    environment = read_environment(folder / there[0])
    if there[1:]:
        note = f"{there[0]} is used; {', '.join(there[1:])} is not (--environment names another)"
        environment.notes.insert(0, note)
    return environment


def read_environment(file: Path) -> Environment:
    """Read one file, by its kind."""
    if file.suffix in {".yml", ".yaml"}:
        environment = _from_conda(file)
    elif file.suffix == ".toml":
        environment = _from_pyproject(file)
    else:
        lines = read_requirements(file)
        environment = Environment(lines=lines, notes=lines.notes)
    environment.source = file.name
    _replace(environment)
    return environment


def _from_conda(file: Path) -> Environment:
    read = read_conda(file)
    return Environment("", read.lines, read.python, read.variables, read.notes)


def _from_pyproject(file: Path) -> Environment:
    try:
        data = toml.loads(read_text(file))
    except toml.NotToml as error:
        raise UsageError(f"{file} is not TOML: {error}.") from error
    project = data.get("project")
    if not isinstance(project, dict):
        raise UsageError(
            f"{file} has no [project] table, so its dependencies are not known. Write them there, "
            "or export them to a requirements.txt (poetry, pdm and uv can)."
        )
    requirements = [checked(line, str(file)) for line in _dependencies(file, project)]
    python = str(project.get("requires-python", ""))
    return Environment(
        "", RequirementLines(requirements), python, notes=list(_pyproject_notes(file, project))
    )


def _dependencies(file: Path, project: Mapping[str, Any]) -> list[str]:
    dynamic = project.get("dynamic")
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        raise UsageError(
            f"{file} has 'dependencies' among 'dynamic': only its build tool knows them. Export "
            "them to a requirements.txt (poetry, pdm and uv can): beside this file, it is taken."
        )
    listed = project.get("dependencies", [])
    if not isinstance(listed, list) or not all(isinstance(line, str) for line in listed):
        raise UsageError(
            f"{file}: 'dependencies' of [project] holds {listed!r}; it takes a list of texts: "
            'dependencies = ["numpy<3"].'
        )
    return listed


def _pyproject_notes(file: Path, project: Mapping[str, Any]) -> Iterator[str]:
    if "dependencies" not in project:
        yield f"{file.name} lists no dependencies in [project]: only scorehost and numpy"
    optional = project.get("optional-dependencies")
    if optional and isinstance(optional, dict):
        named = ", ".join(optional)
        yield (
            f"optional dependencies are left out: {named}; what the image needs is to be listed "
            "under 'dependencies'"
        )


def _replace(environment: Environment) -> None:
    kept = []
    for line in environment.lines.requirements:
        reason = REPLACED.get(name_of(line))
        if reason is None:
            kept.append(line)
        else:
            environment.notes.append(f"{line} is replaced: {reason}")
    environment.lines.requirements[:] = kept


def accepts(constraint: str, python: str) -> bool:
    """Whether a Python, major and minor, is one that is asked for.

    Its patch release does not count: Debian has one, with the security fixes of later ones.
    """
    exact = re.fullmatch(r"={2,3}\s*(\d+)(?:\.(\d+))?(\..*)?", constraint)
    if exact:
        major, _, minor = python.partition(".")
        return exact[1] == major and exact[2] in {minor, None}
    try:
        accepted = SpecifierSet(constraint)
    except InvalidSpecifier:
        raise UsageError(
            f"'python{constraint}' is not a Python version that scorehost understands."
        ) from None
    return any(accepted.contains(f"{python}.{patch}") for patch in (0, 99))
