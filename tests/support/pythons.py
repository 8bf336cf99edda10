"""The Pythons of this machine, and the one in which the tests' scripts run.

All tests that start a server run their scripts in the Python that the variable ``SCRIPTS_PYTHON``
names, or in the server's own: ``make pythons`` runs them in others.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPTS_PYTHON = "SCRIPTS_PYTHON"
"""Variable that names an interpreter, or the folder of an environment."""

SUPPORTED = tuple(f"3.{minor}" for minor in range(8, 15))
"""Versions under which scripts run."""

_ASK = """
import importlib.metadata as metadata, json, sys
print(json.dumps({
    "path": sys.executable,
    "version": sys.version_info[:2],
    "packages": {each.metadata["Name"].lower(): each.version for each in metadata.distributions()},
}))
"""


@dataclass(frozen=True)
class ScriptsPython:
    """The Python in which scripts run.

    Parameters
    ----------
    path : its executable.
    version : major and minor.
    packages : versions of what is installed, by lower-case name.
    """

    path: str
    version: tuple[int, int]
    packages: dict[str, str]


@functools.lru_cache(maxsize=1)
def scripts_python() -> ScriptsPython:
    """Ask the Python in which scripts run."""
    given = os.environ.get(SCRIPTS_PYTHON, sys.executable)
    path = Path(given, "bin", "python") if Path(given).is_dir() else Path(given)
    asked = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, check=True)
    told = json.loads(asked.stdout)
    return ScriptsPython(told["path"], (told["version"][0], told["version"][1]), told["packages"])


def pythons_here() -> dict[str, Path]:
    """Every supported Python of this machine, one for each version.

    Looked for on PATH, where pyenv keeps its own, and in ``build/``, where ``.ci/python-3.14`` puts
    one.
    """
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    build = Path(__file__).parents[2] / "build"
    folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    found: dict[str, Path] = {}
    for version in SUPPORTED:
        places = [
            *sorted(root.glob(f"versions/{version}.*/bin/python"), key=_newest, reverse=True),
            *(folder / f"python{version}" for folder in folders if folder != root / "shims"),
            build / f"python-{version}" / "usr" / "bin" / f"python{version}",
        ]
        first = next((place for place in places if _is(place, version)), None)
        if first is not None:
            found[version] = first
    return found


def _newest(place: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", place.parents[1].name)]


def _is(place: Path, version: str) -> bool:
    """Whether this is that Python, with what a venv needs."""
    if not os.access(place, os.X_OK):
        return False
    says = "import sys; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([place, "-c", says], capture_output=True, text=True, check=False)
    return asked.stdout.strip() == version
