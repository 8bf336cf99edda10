"""Imports that found no module, or no such name in one."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Final

from scorehost.diagnosis import own_files
from scorehost.diagnosis.case import Case
from scorehost.diagnosis.frames import kind_of, short_library_path
from scorehost.diagnosis.installed import (
    closest,
    installed_modules,
    is_known,
    is_namespace,
    submodules,
    version_line,
    version_of,
)
from scorehost.diagnosis.module_names import (
    LEFT_PYTHON,
    MOVED_MODULES,
    MOVED_NAMES,
    OLDER_PACKAGES,
    PYTHON_2,
    distribution_of,
)
from scorehost.interpreter import active_elsewhere
from scorehost.older_python import standard_modules

_WHERE_FLASK_IS_NEEDED: Final = (
    "scorehost/raw_http.py", "scorehost/scoring/decoding.py", "scorehost/scoring/flask_side.py",
)  # fmt: skip
_RAW_NEEDS_FLASK: Final = (
    "A raw script (@rawhttp, AMLRequest, AMLResponse) gets the request as a Flask request, and "
    "Flask is not installed in the script's environment."
)


def missing_module(case: Case) -> str:
    """An imported module cannot be found."""
    error = case.error
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    if error.name == "flask" and case.passed(*_WHERE_FLASK_IS_NEEDED):
        return f"{_RAW_NEEDS_FLASK} {_this_python()}\n    pip install flask"
    name = _wanted(case, error.name)
    top = name.partition(".")[0]
    if error.name != top and is_known(top):
        return _missing_submodule(case, name, top)
    return (
        _left_python(top)
        or _nearby(case, name)
        or _elsewhere_in_app(case, top)
        or _near_installed(top)
        or _not_installed(case, name, top)
    )


def _wanted(case: Case, name: str) -> str:
    """The whole name in the import that failed: Python names only its first missing part."""
    match = re.match(r"\s*(?:from|import)\s+([\w.]+)", case.failing_line)
    return match[1] if match and match[1].startswith(f"{name}.") else name


def relative_import(case: Case) -> str:
    """The entry script is not part of a package."""
    if not isinstance(case.error, ImportError) or "relative import" not in case.message:
        return ""
    match = re.match(r"\s*from\s+\.+(\w+)\s+(import .*)", case.failing_line)
    example = f" Write:\n    from {match[1]} {match[2]}" if match else ""
    return (
        f"{case.script.name} is imported on its own, not as part of a package; import the modules "
        f"beside it by their plain names.{example}"
    )


def missing_name(case: Case) -> str:
    """The module exists and has no such name."""
    error = case.error
    if not isinstance(error, ImportError) or isinstance(error, ModuleNotFoundError):
        return ""
    match = re.search(
        r"cannot import name '([^']+)' from (?:partially .*module )?'([^']+)'", case.message
    )
    if match is None:
        return ""
    wanted, module = match.groups()
    if "circular import" in case.message or "partially initialized" in case.message:
        return _circular(case, module)
    file = error.path or ""
    if Path(file).is_file() and kind_of(file) == "user":
        return _hides_installed(case, module) or _not_in_own_module(wanted, Path(file), case)
    return _too_new_a_neighbour(case, wanted, module) or _not_in_package(wanted, module)


def circular_attribute(case: Case) -> str:
    """A module was used while it was still being imported, or is hidden by one of the user's."""
    if not isinstance(case.error, AttributeError):
        return ""
    match = re.search(r"(?:partially initialized )?module '([^']+)' has no attribute", case.message)
    if match is None:
        return ""
    hidden = _hides_installed(case, match[1])
    if hidden or "partially initialized" not in case.message:
        return hidden
    return _circular(case, match[1])


# -- modules ----------------------------------------------------------------------------------


def _left_python(top: str) -> str:
    if top in PYTHON_2:
        return f"{top} is the Python 2 name. In Python 3 the module is called {PYTHON_2[top]}."
    since, package = LEFT_PYTHON.get(top, ("99", ""))
    if sys.version_info[:2] < tuple(int(part) for part in since.split(".")):
        return ""
    hint = f"{top} was removed from Python in version {since}; this is Python {_python()}."
    return f"{hint} A package provides it:\n    pip install {package}" if package else hint


def _nearby(case: Case, name: str) -> str:
    """A file of the user's with nearly that name."""
    siblings = own_files.importable(case.folders())
    near = closest(name.partition(".")[0], siblings)
    return f"Did you mean {near}? {siblings[near]} exists." if near else ""


def _elsewhere_in_app(case: Case, top: str) -> str:
    """A file of that name, but in a folder that is not searched."""
    for folder in case.folders():
        for path in own_files.python_files(folder):
            if path.stem == top or (path.name == "__init__.py" and path.parent.name == top):
                return _in_a_subfolder(case, path, folder)
    return ""


def _in_a_subfolder(case: Case, path: Path, folder: Path) -> str:
    place = path.parent if path.name == "__init__.py" else path
    relative = place.relative_to(folder)
    if len(relative.parts) < 2:
        return ""
    dotted = ".".join(relative.with_suffix("").parts)
    return (
        f"{relative} exists, but only the app root and the script's own folder are searched for "
        f"modules. Import it as {dotted}, or move it beside {case.script.name}."
    )


def _near_installed(top: str) -> str:
    if distribution_of(top) != top:
        return ""
    near = closest(top, [*installed_modules(), *standard_modules()])
    return f"Did you mean {near}? That module is installed." if near and near != top else ""


def _not_installed(case: Case, name: str, top: str) -> str:
    package = distribution_of(name)
    if package == top:
        hint = (
            f"{top} is not installed. If it belongs to a package, that most likely has the same "
            f"name; if it is your own file, put it beside {case.script.name} or in the app root."
        )
    else:
        hint = f"The module {name} comes with the package {package}, which is not installed."
    if not case.from_user_code:
        hint = f"A package that the script imports needs {name}. {hint}"
    if listed := own_files.listed_in(case, package):
        hint += (
            f" {listed} lists it, so either its packages were not installed or they were installed "
            "for another Python."
        )
    chosen = os.environ.get("SCOREHOST_PYTHON")
    if not chosen and (active := active_elsewhere(os.environ)):
        there = " and has it" if _lies_in(active, top) else ""
        hint += (
            f" The environment {active} is active{there}, but the script runs in the server's. To "
            f"use the active one, add --python {shlex.quote(active)}."
        )
    return f"{hint} {_this_python()}\n    pip install {package}"


def _lies_in(environment: str, top: str) -> bool:
    """Whether a top-level module lies in an environment's folder."""
    packages = Path(environment).glob("lib/python3*/site-packages")
    return any((folder / top).exists() or (folder / f"{top}.py").exists() for folder in packages)


def _missing_submodule(case: Case, name: str, top: str) -> str:
    if hidden := _hides_installed(case, top):
        return hidden
    if name in MOVED_MODULES:
        return f"{version_line(top)} {name} is now {MOVED_MODULES[name]}."
    if is_namespace(top):
        package = distribution_of(name)
        return (
            f"Several packages share the name {top}; the one that provides {name} is not installed."
            f"\n    pip install {package}"
        )
    parent, _, last = name.rpartition(".")
    near = closest(last, submodules(parent))
    mean = _mean(near and f"{parent}.{near}")
    return (
        f"{version_line(top)} It has no module {name}.{mean} The script was probably written "
        "for another version; install that one, or change the import."
    )


# -- names ------------------------------------------------------------------------------------


def _circular(case: Case, module: str) -> str:
    if hidden := _hides_installed(case, module):
        return hidden
    files = list(dict.fromkeys(frame.file for frame in case.frames))
    route = " -> ".join([*files, files[0]]) if len(files) > 1 else module
    return (
        f"Two modules import each other: {route}. Move what both need into a third module, or "
        "import inside the function that uses it."
    )


def _hides_installed(case: Case, module: str) -> str:
    """A file of the user's that has the name of an installed or standard module."""
    top = module.partition(".")[0]
    loaded = getattr(sys.modules.get(top), "__file__", None) or ""
    if top not in standard_modules() and top not in installed_modules():
        return ""
    own = Path(loaded) if loaded else own_files.own_file(case, top)
    if own is None or kind_of(str(own)) != "user":
        return ""
    return (
        f"Your file {own_files.relative(own, case)} hides the installed module {top}. Rename it "
        "(and delete its __pycache__)."
    )


def _not_in_own_module(wanted: str, file: Path, case: Case) -> str:
    names = own_files.names_in(file)
    listed = ", ".join(names[:12]) or "nothing"
    mean = _mean(closest(wanted, names))
    return f"{own_files.relative(file, case)} does not define {wanted}.{mean} It defines: {listed}."


def _too_new_a_neighbour(case: Case, wanted: str, module: str) -> str:
    """A package imports from another what that had in older versions only."""
    libraries = [place.file for place in case.places if kind_of(place.file) == "library"]
    pin = OLDER_PACKAGES.get((module, wanted))
    if pin is None or not libraries or case.from_user_code:
        return ""
    first, importer = (
        Path(Path(short_library_path(file)).parts[0]).stem for file in (libraries[0], libraries[-1])
    )
    package, version = version_of(module.partition(".")[0])
    return (
        f"{first} cannot be imported: {' '.join(version_of(importer))} was written for an older "
        f"{package} than {version}, which is installed beside it.\n    pip install '{pin}'"
    )


def _not_in_package(wanted: str, module: str) -> str:
    top = module.partition(".")[0]
    line = version_line(top)
    if (module, wanted) in MOVED_NAMES:
        instead = MOVED_NAMES[module, wanted]
        return f"{line} {wanted} is no longer in {module}; use instead:\n    {instead}"
    mean = _mean(closest(wanted, dir(sys.modules.get(module))))
    return (
        f"{line} Its module {module} has no {wanted}.{mean} Either the script or another package "
        "was written for another version; pin the version it was written for."
    )


def _mean(near: str | None) -> str:
    return f" Did you mean {near}?" if near else ""


def _this_python() -> str:
    return f"This is Python {_python()} at {sys.executable}."


def _python() -> str:
    return ".".join(str(part) for part in sys.version_info[:2])
