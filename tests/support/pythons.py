"""The Pythons of this machine, environments for them, and the one in which tests' scripts run.

All tests that start a server run their scripts in the Python that the variable ``SCRIPTS_PYTHON``
names, or in the server's own: ``make pythons`` runs ``tests/http`` in others.

Run as a program it makes the environments that ``tests/pythons`` needs, and says which Pythons are
here; with the word ``oldest`` or ``newest`` it prints the folder of the environment for
``tests/http``.
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

SERVER_PYTHON = os.environ.get("SERVER_PYTHON", sys.executable)
"""The interpreter that has the server; in an image, these tests run in another one."""

SUPPORTED = tuple(f"3.{minor}" for minor in range(8, 15))
"""Versions under which scripts run."""

ENVIRONMENTS = Path(__file__).parents[2] / ".venv-pythons"

OF_THAT_AGE = {
    "3.8": ("numpy==1.19.5", "scipy==1.5.4", "scikit-learn==0.23.2"),
    "3.9": ("numpy==1.21.6", "scipy==1.7.3", "scikit-learn==1.0.2"),
    "3.10": ("numpy==1.22.4", "scipy==1.8.1", "scikit-learn==1.1.3"),
    "3.11": ("numpy==1.24.4", "scipy==1.10.1", "scikit-learn==1.2.2"),
    "3.12": ("numpy==1.26.4", "scipy==1.12.0", "scikit-learn==1.4.2"),
    "3.13": ("numpy==2.1.3", "scipy==1.14.1", "scikit-learn==1.5.2"),
    "3.14": ("numpy", "scipy", "scikit-learn"),
}
"""What people had installed when that Python was new."""

CONTRACT = ("flask", "inference-schema", "numpy", "pandas", "pydantic>=2", "scikit-learn")
"""What the scripts of ``tests/http`` import."""

PINNED = ("flask==1.1.4", "werkzeug==1.0.1", "numpy==1.19.5", "inference-schema==1.8")
"""Packages of 2021, as requirements files have them."""

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

    Looked for on PATH, where pyenv keeps its own, and where ``.ci/python-3.14`` puts one.
    """
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    found: dict[str, Path] = {}
    for version in SUPPORTED:
        places = [
            *sorted(root.glob(f"versions/{version}.*/bin/python"), key=_newest, reverse=True),
            *(folder / f"python{version}" for folder in folders if folder != root / "shims"),
            ENVIRONMENTS / f"debian-{version}" / "usr" / "bin" / f"python{version}",
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


def kinds(version: str) -> dict[str, tuple[str, ...]]:
    """The environments that are made for one Python, by name: what is installed in each."""
    found = {"bare": (), "model": OF_THAT_AGE[version], "flask": ("flask",)}
    if version == oldest():
        found |= {"contract": CONTRACT}  # without orjson
    if version == newest():
        found |= {"contract": (*CONTRACT, "orjson")}
    if version == "3.8":
        found |= {"pinned": (*PINNED, "markupsafe<2.1"), "unresolved": PINNED[:2]}
    return found


def environment(version: str, kind: str) -> Path:
    """Where an environment is."""
    return ENVIRONMENTS / f"{version}-{kind}"


@functools.lru_cache(maxsize=1)
def others() -> list[str]:
    """The versions here besides the server's own."""
    own = "{}.{}".format(*sys.version_info)
    return [version for version in pythons_here() if version != own]


def oldest() -> str:
    """The oldest of the others."""
    return others()[0] if others() else ""


def newest() -> str:
    """The newest of the others, where there are two."""
    return others()[-1] if len(others()) > 1 else ""


def make(version: str, kind: str, packages: tuple[str, ...]) -> None:
    """Make an environment, unless it is there with these packages."""
    folder = environment(version, kind)
    note = folder / "made-with.txt"
    wanted = "\n".join([str(pythons_here()[version]), *packages])
    if note.is_file() and note.read_text() == wanted:
        return
    uv = Path(sys.executable).parent / "uv"
    environ = os.environ | {"UV_SYSTEM_CERTS": "true"}  # as pip does

    def run(*words: object) -> None:
        subprocess.run([uv, *map(str, words), "--quiet"], check=True, env=environ)

    run("venv", "--clear", "--python", pythons_here()[version], folder)
    if packages:
        run("pip", "install", "--python", folder / "bin/python", *packages)
    note.write_text(wanted)


def main(words: list[str]) -> None:
    """Make all environments, or print the folder of one."""
    if words:
        version = oldest() if words[0] == "oldest" else newest()
        print(environment(version, "contract") if version else "")
        return
    here = pythons_here()
    for version in SUPPORTED:
        print(f"Python {version}: {here.get(version, 'not on this machine, so not tested here')}")
    for version in here:
        for kind, packages in kinds(version).items():
            make(version, kind, packages)


if __name__ == "__main__":
    main(sys.argv[1:])
