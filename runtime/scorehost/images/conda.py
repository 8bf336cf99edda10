"""conda's environment files (``myenv.yml``), read as requirements for pip.

Supported are ``dependencies`` with ``name``, ``name=version``, ``channel::name>=1,<2``,
``python=…`` and a nested ``pip:`` list, whose lines are those of a requirements file. Channels and
build strings mean nothing to pip; for packages that only conda has it is told what to do without
them. All of it is kept as it stands there, too, for an environment of conda's own packages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from scorehost.errors import UsageError
from scorehost.images.conda_names import SETUP_TOOLS, pip_name, remedy
from scorehost.images.requirement_lines import CondaFile, Environment, checked, read_entries
from scorehost.images.script_python import OR
from scorehost.images.text import read_text
from scorehost.images.variables import check_variable
from scorehost.names import nearest

_SPEC = re.compile(
    r"""(?:\S+::)?                   # the channel
        (?P<name>[A-Za-z0-9_][\w.-]*)
        \s*(?P<rest>[^\[]*)
        (?:\[(?P<brackets>.*)\])?$""",
    re.VERBOSE,
)
_IN_BRACKETS = re.compile(
    r"""(?P<key>\w+)\s*=\s*(?P<quote>['"]?)(?P<value>.*?)(?P=quote)(?:,|$)\s*"""
)
_CONSTRAINT = re.compile(r"(?P<operator>==|!=|>=|<=|~=|=|>|<)?\s*(?P<version>[\w.!*+]+)$")


def read_conda(file: Path) -> Environment:
    """Read an environment file.

    Raises
    ------
    UsageError
        The file is not YAML, or not an environment.
    """
    data = _load(file)
    conda = CondaFile(channels=_channels(file, data))
    environment = Environment(variables=_variables(file, data), conda=conda)
    for entry in _dependencies(file, data):
        if isinstance(entry, dict):
            lines = _pip_list(file, entry)
            read_entries(lines, file, environment.lines)
            read_entries(lines, file, conda.lines)
        else:
            _add(environment, conda, file, _text(file, entry))
    environment.notes += environment.lines.notes
    return environment


def _load(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(read_text(file))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "an unknown place"
        raise UsageError(
            f"{file} is not YAML: {error.problem} at {place}. "
            "Indent with spaces, two per level, and never with tabs."
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not YAML: {error}.") from error
    if not isinstance(data, dict):
        raise UsageError(
            f"{file} is not a conda environment file: it is {_kind(data)}, and must have keys such "
            "as 'dependencies:'."
        )
    return data


def _kind(value: object) -> str:
    """What YAML made of a value, in words."""
    name = type(value).__name__
    words = {"NoneType": "empty", "str": "a string", "dict": "a mapping"}
    return words.get(name, f"a number, {value}" if name in {"int", "float"} else f"a {name}")


def _variables(file: Path, data: dict[str, Any]) -> dict[str, str]:
    given = data.get("variables") or {}
    if not isinstance(given, dict):
        raise UsageError(f"{file}: 'variables' is {_kind(given)}; it must be 'NAME: value' lines.")
    variables = {}
    for name, value in given.items():
        if value is None or isinstance(value, dict | list):
            raise UsageError(
                f"{file}: the variable {name} is {_kind(value)}; it must be a string ('' for none)."
            )
        check_variable(str(name), str(value), f"{file}, variable {name}")
        variables[str(name)] = str(value)
    return variables


def _channels(file: Path, data: dict[str, Any]) -> list[str]:
    listed = data.get("channels") or []
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise UsageError(f"{file}: 'channels' must be a list of names: '- conda-forge' lines.")
    return [each.strip() for each in listed]


def _dependencies(file: Path, data: dict[str, Any]) -> list[Any]:
    entries = data.get("dependencies")
    if entries is None:
        near = next((key for key in data if nearest(str(key), ["dependencies"])), None)
        found = ", ".join(map(str, data))
        hint = f"Is {near!r} a misspelling of it?" if near else f"Keys found: {found or 'none'}."
        raise UsageError(f"{file} has no list 'dependencies:'. {hint}")
    if not isinstance(entries, list):
        raise UsageError(
            f"{file}: 'dependencies' is {_kind(entries)}; it must be a list of '- name' lines."
        )
    return entries


def _pip_list(file: Path, entry: dict[str, Any]) -> list[str]:
    lines = entry.get("pip")
    if set(entry) != {"pip"} or not isinstance(lines, list | type(None)):
        raise UsageError(
            f"{file}: '{next(iter(entry), '')}:' among the dependencies is not supported. Only "
            "'pip:' with a list below it is allowed there."
        )
    return [_text(file, line) for line in lines or ()]


def _text(file: Path, entry: object) -> str:
    if not isinstance(entry, str):
        raise UsageError(f"{file}: a dependency is {_kind(entry)}; it must be a string: '- name'.")
    return entry


def _add(environment: Environment, conda: CondaFile, file: Path, entry: str) -> None:
    name, constraint, build = parse(entry, file)
    (conda.python if name == "python" else conda.specs).append(entry)
    if name == "python":
        if len(conda.python) > 1:
            raise UsageError(f"{file} lists Python more than once: {', '.join(conda.python)}.")
        environment.python = constraint
    elif name in SETUP_TOOLS:
        environment.notes.append(f"{entry} is ignored: the image has its own installer")
    elif (what_to_do := remedy(name)) is not None:
        conda.refused.append(f"{name}: {what_to_do}")
    elif OR in constraint:
        conda.refused.append(
            f"{name}: {entry!r} lets conda choose between versions, which pip cannot express. Name "
            "one version, or a range: name>=1,<3."
        )
    else:
        environment.lines.requirements.append(checked(pip_name(name) + constraint, str(file)))
        if pip_name(name) != name:
            environment.notes.append(f"{name} is called {pip_name(name)} by pip")
        if build:
            environment.notes.append(f"{entry}: conda's build string {build} is ignored")


def parse(entry: str, file: Path) -> tuple[str, str, str]:
    """A dependency's name, its version for pip, and its build string.

    ``numpy=1.26`` means any 1.26, as it does to conda, and ``numpy==1.26.4`` exactly that version.
    Of ``numpy=1.21|1.23``, which pip cannot express, each part is translated.
    """
    found = _SPEC.match(entry.strip())
    if found is None:
        raise UsageError(
            f"{file}: {entry!r} is not a valid dependency. Write '- name' or '- name=version'."
        )
    version, build = _without_build(found["rest"].strip())
    inside = _in_brackets(found["brackets"] or "", entry, file)
    version, build = inside.get("version", version).strip(), inside.get("build", build)
    constraint = OR.join(_range(part, entry, file) for part in version.split(OR))
    return found["name"].lower(), constraint, build


def _range(version: str, entry: str, file: Path) -> str:
    parts = [part.strip() for part in version.split(",") if part.strip(" =") not in {"", "*"}]
    return ",".join(_for_pip(part, entry, file) for part in parts)


def _in_brackets(text: str, entry: str, file: Path) -> dict[str, str]:
    """The values of ``version='>=1,<2', build=py*`` by key."""
    if _IN_BRACKETS.sub("", text).strip():
        raise UsageError(
            f"{file}: [{text}] in {entry!r} cannot be parsed. conda's form is "
            "name[version='>=1,<2']; a package with extras belongs below 'pip:'."
        )
    return {found["key"]: found["value"] for found in _IN_BRACKETS.finditer(text)}


def _without_build(text: str) -> tuple[str, str]:
    """Split off the build string of ``=1.2=py311_0`` or ``1.2 py311_0``."""
    match = re.fullmatch(r"(={0,2}[\w*][\w.*+!]*)(?:=|\s+)([\w.*+]+)", text)
    return (match[1], match[2]) if match else (text, "")


def _for_pip(part: str, entry: str, file: Path) -> str:
    found = _CONSTRAINT.match(part)
    if found is None:
        raise UsageError(f"{file}: the version {part!r} in {entry!r} cannot be parsed.")
    operator, version = found["operator"] or "=", found["version"]
    if operator in {"=", "=="} and version.endswith("*"):
        return "==" + version.rstrip("*").rstrip(".") + ".*"
    if operator == "=" and version.count(".") < 2:
        return f"=={version}.*"
    return ("==" if operator == "=" else operator) + version
