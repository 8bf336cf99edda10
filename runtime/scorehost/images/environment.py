"""Which packages an app needs, read from the file that lists them.

The files looked for are, in this order, ``myenv.yml`` and conda's other usual names,
``requirements.txt`` and ``pyproject.toml``. scorehost replaces the packages of other scoring
servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scorehost.errors import UsageError
from scorehost.images.conda import read_conda
from scorehost.images.requirement_lines import (
    Environment,
    RequirementLines,
    checked,
    name_of,
    read_requirements,
)
from scorehost.images.text import read_toml

FILES = (
    *("myenv.yml", "myenv.yaml", "environment.yml", "environment.yaml"),
    *("conda.yml", "conda.yaml", "conda_dependencies.yml"),
    *("requirements.txt", "pyproject.toml"),
)
"""The files that are looked for, in this order."""

ONLY_PYTHON = "the script has no packages but Python's own"

REPLACED = {
    "azureml-defaults": "scorehost provides the server and Model.get_model_path",
    "azureml-inference-server-http": "scorehost provides the server and the command azmlinfsrv",
    "azureml-contrib-services": "scorehost provides AMLRequest, AMLResponse and rawhttp",
    "scorehost": "the base image already has it",
}
"""Packages that are not installed, and why nothing is missing without them."""

CAME_WITH = {
    "azureml-defaults": ("flask", "inference-schema", "numpy"),
    "azureml-inference-server-http": ("flask", "inference-schema"),
    "azureml-contrib-services": ("flask",),
}
"""The packages that replaced ones brought along, and that scripts import without naming them."""


def find_environment(folder: Path, named: Path | None) -> Environment:
    """The environment of a folder, from the file named or else from the first usual one."""
    if named is not None:
        if not named.is_file():
            raise UsageError(f"The environment file {named} does not exist.")
        return read_environment(named)
    there = [name for name in FILES if (folder / name).is_file()]
    if not there:
        nothing = "the folder has no myenv.yml, requirements.txt or pyproject.toml"
        return Environment(notes=[f"{nothing}; {ONLY_PYTHON}"])
    environment = read_environment(folder / there[0])
    if there[1:]:
        note = f"using {there[0]}, ignoring {', '.join(there[1:])}; --environment chooses another"
        environment.notes.insert(0, note)
    return environment


def read_environment(file: Path) -> Environment:
    """Read an environment file, whose kind its suffix tells."""
    if file.suffix in {".yml", ".yaml"}:
        environment = read_conda(file)
    elif file.suffix == ".toml":
        environment = _from_pyproject(file)
    else:
        lines = read_requirements(file)
        environment = Environment(lines=lines, notes=lines.notes)
    environment.file = file
    environment.notes += _replace(environment.lines.requirements)
    if environment.conda is not None:
        environment.conda.lines.notes += _replace(environment.conda.lines.requirements)
    return environment


def _replace(requirements: list[str]) -> list[str]:
    """Take out the packages that scorehost replaces, and put in what scripts have from them."""
    notes = []
    for line in [line for line in requirements if name_of(line) in REPLACED]:
        requirements.remove(line)
        named = {name_of(each) for each in requirements}
        instead = [name for name in CAME_WITH.get(name_of(line), ()) if name not in named]
        requirements.extend(instead)
        note = f"{line} is not installed: {REPLACED[name_of(line)]}"
        if instead:
            note += f". What scripts have from it is installed: {', '.join(instead)}"
        notes.append(note)
    return notes


def _from_pyproject(file: Path) -> Environment:
    project = read_toml(file).get("project")
    if not isinstance(project, dict):
        raise UsageError(
            f"{file} has no [project] table, so its dependencies are not known. List them there, "
            "or export them to a requirements.txt (poetry, pdm and uv can)."
        )
    notes = []
    if "dependencies" not in project:
        notes.append(f"{file.name} lists no dependencies in [project]; {ONLY_PYTHON}")
    optional = project.get("optional-dependencies")
    if optional and isinstance(optional, dict):
        notes.append(
            f"optional dependencies are not installed: {', '.join(optional)}; list those that the "
            "image needs under 'dependencies'"
        )
    lines = RequirementLines([checked(line, str(file)) for line in _dependencies(file, project)])
    python = str(project.get("requires-python", ""))
    return Environment(lines=lines, python=python, notes=notes)


def _dependencies(file: Path, project: Mapping[str, Any]) -> list[str]:
    dynamic = project.get("dynamic")
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        raise UsageError(
            f"{file} lists 'dependencies' under 'dynamic', so only its build tool knows them. "
            "Export them to a requirements.txt (poetry, pdm and uv can); next to this file, it "
            "takes precedence."
        )
    listed = project.get("dependencies", [])
    if not isinstance(listed, list) or not all(isinstance(line, str) for line in listed):
        raise UsageError(
            f"{file}: 'dependencies' in [project] is {listed!r}; it must be a list of strings: "
            'dependencies = ["numpy<3"].'
        )
    return listed
