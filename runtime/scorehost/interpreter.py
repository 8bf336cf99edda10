"""The Python that runs the entry script: the server's own, or one of the user's.

A script may have an interpreter and packages of its own (``--python``). The server never puts
anything there: the worker's side of scorehost is handed over by a finder
(``worker/start.py``).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from ast import literal_eval
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scorehost.errors import SettingError, UsageError
from scorehost.older_python import OLDEST
from scorehost.settings import Settings

NEWEST: Final = (3, 14)
"""The newest Python that scripts have been tested with."""

# Any Python can say this, Python 2 too.
_QUESTION: Final = (
    "import platform, sys\nprint([tuple(sys.version_info[:3]), platform.python_implementation()])"
)
_ANSWER_TAKES: Final = 60.0
"""Seconds for an interpreter to start and answer; on a cold network file system it needs some."""

_NAMES_ONE_PYTHON: Final = ("PYTHONHOME", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR")
"""Variables that say where the files of one interpreter are; another one would not start."""


@dataclass(frozen=True)
class Interpreter:
    """One Python.

    Parameters
    ----------
    path : what is started. Links are not followed: a venv is known by where its link is.
    version : three numbers.
    is_own : it is the one that runs the server.
    """

    path: str
    version: tuple[int, int, int]
    is_own: bool = False

    def __str__(self) -> str:
        return f"Python {'.'.join(map(str, self.version))} at {self.path}"

    @property
    def folder(self) -> Path:
        """The environment's folder: what is above ``bin``."""
        return Path(self.path).parent.parent

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables for a process that this interpreter runs.

        For an interpreter of the user's they are what activating its environment would make of
        the server's (docs/environments.md): its programs come first, and nothing leads to the
        files of the server's interpreter. PYTHONPATH and LD_LIBRARY_PATH stay.
        """
        given = dict(environ)
        if self.is_own:
            return given
        for name in (*_NAMES_ONE_PYTHON, "VIRTUAL_ENV"):
            given.pop(name, None)
        programs = str(Path(self.path).parent)
        given["PATH"] = os.pathsep.join(filter(None, [programs, given.get("PATH", os.defpath)]))
        if (self.folder / "pyvenv.cfg").is_file():
            given["VIRTUAL_ENV"] = str(self.folder)
        elif (self.folder / "conda-meta").is_dir():
            given["CONDA_PREFIX"] = str(self.folder)
        return given

    def has(self, module: str) -> bool:
        """Whether a top-level module can be imported there; the interpreter is asked."""
        if self.is_own:
            return importlib.util.find_spec(module) is not None
        question = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({module!r}))"
        try:
            asked = subprocess.run(  # noqa: S603 - it has answered before
                [self.path, "-c", question], env=self.environment(os.environ),
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_TAKES, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return False
        return asked.returncode == 0


def own_debugpy() -> dict[str, str] | None:
    """Return the folder of the server's own debugpy, and its Python; None where there is none."""
    found = importlib.util.find_spec("debugpy")
    if found is None or not found.origin:
        return None
    return {"folder": str(Path(found.origin).parents[1]), "python": sys.executable}


def own_interpreter() -> Interpreter:
    """Return the Python that runs this process."""
    major, minor, micro = sys.version_info[:3]
    return Interpreter(sys.executable, (major, minor, micro), is_own=True)


def interpreter_of(settings: Settings) -> Interpreter:
    """Return the Python that runs the script.

    Raises
    ------
    UsageError
        SCOREHOST_PYTHON names none that can.
    """
    return own_interpreter() if settings.python is None else _asked(settings.python)


@functools.lru_cache(maxsize=16)  # the server asks before it opens its port, and again inside
def _asked(given: str) -> Interpreter:
    path = _executable(given)
    try:
        answer = subprocess.run(  # noqa: S603 - the interpreter that the user has named
            [path, "-E", "-S", "-c", _QUESTION],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_ANSWER_TAKES, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _refused(given, f"{path} cannot be started: {error}") from None
    try:
        version, implementation = literal_eval(answer.stdout)
        major, minor, micro = version
    except (ValueError, TypeError, SyntaxError):
        said = "".join(f", but says: {line}" for line in answer.stderr.strip().splitlines()[-1:])
        raise _refused(given, f"{path} does not answer as Python does{said}") from None
    found = Interpreter(path, (major, minor, micro))
    if implementation != platform.python_implementation():
        raise UsageError(
            f"{path} is {implementation}. scorehost runs scripts in CPython only, from "
            f"{_text(OLDEST)} to {_text(NEWEST)}."
        )
    if found.version < OLDEST:
        raise UsageError(
            f"{found} is too old: scripts run under Python {_text(OLDEST)} to {_text(NEWEST)}. The "
            f"nearest that works is {_text(OLDEST)}; make the environment anew with it."
        )
    return found


def _executable(given: str) -> str:
    """Return the executable that a file, an environment's folder or a name on PATH stands for.

    Raises
    ------
    SettingError
        There is none.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        programs = [path / "bin" / name for name in ("python", "python3")]
        programs += [path / name for name in ("python", "python3")]  # the bin folder itself
        inside = next((each for each in programs if each.is_file()), None)
        if inside is None:
            raise _refused(given, "that folder has no bin/python")
        path = inside
    elif not path.exists() and path.name == given and (found := shutil.which(given)):
        path = Path(found)
    elif not path.exists():
        link = f", a link to {os.readlink(path)}, which is gone" if path.is_symlink() else ""
        raise _refused(given, f"there is no such file{link}")
    if not os.access(path, os.X_OK):
        raise _refused(given, "that file is not executable")
    return str(path.absolute())


def _refused(given: str, problem: str) -> SettingError:
    accepted = f"a Python interpreter, or the folder of a venv or conda environment ({problem})"
    return SettingError("SCOREHOST_PYTHON", given, accepted)


def active_elsewhere(environ: Mapping[str, str], prefix: str = sys.prefix) -> str:
    """Return the environment's folder that the shell has activated, unless scripts run there.

    Parameters
    ----------
    environ : of the shell.
    prefix : of the environment in which scripts run.

    Returns
    -------
    str
        "" if they do, or if none is active.
    """
    active = environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX") or ""
    if not active or os.path.realpath(active) == os.path.realpath(prefix):
        return ""
    return active if (Path(active) / "bin" / "python").exists() else ""


def where_scripts_run(interpreter: Interpreter, environ: Mapping[str, str]) -> str:
    """Return a line for the log; "" where there is one environment, and no doubt about it."""
    if not interpreter.is_own:
        return f"the script runs in {interpreter}; the server in {own_interpreter()}"
    if active := active_elsewhere(environ):
        return (
            f"the environment {active} is active, but the script runs in the server's own, "
            f"{interpreter}; to run it there: --python {active}"
        )
    return ""


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
