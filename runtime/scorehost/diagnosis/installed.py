"""What is installed: modules, the packages that brought them, and their versions."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path

from scorehost.diagnosis.frames import kind_of
from scorehost.diagnosis.module_names import distribution_of
from scorehost.names import nearest


def installed_modules() -> set[str]:
    """Names of the installed top-level modules."""
    folders = [entry for entry in sys.path if kind_of(str(Path(entry) / "x.py")) == "library"]
    return {module.name for module in pkgutil.iter_modules(folders)}


@functools.lru_cache(maxsize=1)
def _packages() -> dict[str, list[str]]:
    """Top-level modules and the packages that say they brought them."""
    found: dict[str, list[str]] = {}
    for package in importlib.metadata.distributions():
        for top in _brought_by(package):
            found.setdefault(top, []).append(package.metadata["Name"])
    return found


def _brought_by(package: importlib.metadata.Distribution) -> set[str]:
    """Top-level modules that a package says it brought, or that its files are."""
    listed = package.read_text("top_level.txt")
    if listed:
        return set(listed.split())
    files = package.files or ()
    names = (
        file.parts[0] if len(file.parts) > 1 else inspect.getmodulename(file) for file in files
    )
    return {name for name in names if name and name.isidentifier()}


def is_known(top: str) -> bool:
    """Whether a top-level module can be imported here, or has been."""
    if top in sys.modules:
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def is_namespace(top: str) -> bool:
    """Whether several packages share this module: it has no file of its own."""
    module = sys.modules.get(top)
    return module is not None and getattr(module, "__file__", None) is None


def submodules(parent: str) -> list[str]:
    """Names of the modules in a package that has been imported."""
    folders = getattr(sys.modules.get(parent), "__path__", [])
    return [
        path.stem
        for folder in folders
        for path in Path(folder).glob("*")
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    ]


def version_of(top: str) -> tuple[str, str]:
    """The package that brought a module, and its version; empty when unknown."""
    for package in [*_packages().get(top, []), distribution_of(top)]:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.metadata(package)
            return found["Name"], found["Version"]
    return "", ""


def version_line(top: str) -> str:
    """Say which version of a module's package is here."""
    package, version = version_of(top)
    return f"{package} {version} is installed." if package else f"{top} is installed."


def closest(name: str, names: Iterable[str]) -> str | None:
    """The name most like this one, capitals aside, but not the very same."""
    by_lower = {known.lower(): known for known in names if known != name and known.isidentifier()}
    found = nearest(name.lower(), by_lower)
    return by_lower[found] if found else None
