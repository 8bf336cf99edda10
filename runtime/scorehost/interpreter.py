"""The Python that runs the entry script: the server's own, or one of the user's.

A script may have an interpreter and packages of its own (``--python``). The server never puts
anything there: the worker's side of scorehost is handed over by a finder
(``worker/start.py``).
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from ast import literal_eval
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scorehost.errors import UsageError
from scorehost.older_python import OLDEST
from scorehost.settings import Settings

NEWEST: Final = (3, 14)
"""The newest Python that scripts have been tested with."""

# Any Python can say this, Python 2 too.
_QUESTION: Final = (
    "import sys\n"
    "name = getattr(getattr(sys, 'implementation', None), 'name', 'cpython')\n"
    "print([tuple(sys.version_info[:3]), name])"
)
_NOWHERE: Final = "/"
"""Where it is asked: Python would import modules from the folder in which it is started."""
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
        return f"Python {self.version_text} at {self.path}"

    @property
    def version_text(self) -> str:
        """The version as people write it: ``3.8.18``."""
        return _text(self.version)

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
                cwd=_NOWHERE,
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
    path = executable(given)
    try:
        answer = subprocess.run(  # noqa: S603 - the interpreter that the user has named
            [path, "-E", "-S", "-c", _QUESTION],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_ANSWER_TAKES, check=False, cwd=_NOWHERE,
        )  # fmt: skip
    except OSError as error:
        raise _refused(given, f"{path} cannot be started ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise _refused(given, f"{path} did not answer within {_ANSWER_TAKES:.0f} s") from None
    try:
        version, implementation = literal_eval(answer.stdout)
        major, minor, micro = version
    except (ValueError, TypeError, SyntaxError):
        printed = [*answer.stderr.split("\n"), *answer.stdout.split("\n")]
        first = next((f"; it printed: {line.strip()}" for line in printed if line.strip()), "")
        raise _refused(given, f"{path} is not a Python interpreter{first}") from None
    found = Interpreter(path, (major, minor, micro))
    supported = f"{_text(OLDEST)} to {_text(NEWEST)}"
    if implementation != "cpython":
        raise UsageError(f"{path} is {implementation}. Scripts need CPython {supported}.")
    if found.version < OLDEST:
        raise UsageError(
            f"{found} is too old: scripts need Python {supported}. Recreate the environment with "
            f"Python {_text(OLDEST)}, the nearest that works, or a later one."
        )
    return found


def executable(given: str) -> str:
    """Return the executable that a file, an environment's folder or a name on PATH stands for.

    Raises
    ------
    UsageError
        There is none.
    """
    if not given.strip():
        raise _refused(given, "it is empty")
    path = Path(given).expanduser()
    if path.is_dir():
        programs = [path / "bin" / name for name in ("python", "python3")]
        programs += [path / name for name in ("python", "python3")]  # the bin folder itself
        named = [each for each in programs if each.is_file() or each.is_symlink()]
        if not named:
            raise _refused(given, "that folder has no bin/python")
        path = named[0]
    elif not path.exists() and path.name == given and given.startswith("python"):
        path = Path(shutil.which(given) or given)
    if path.is_symlink() and not path.exists():
        gone = f"{path} is a link to {os.readlink(path)}, which does not exist"
        raise _refused(given, f"{gone}; recreate the environment")
    if not path.exists():
        raise _refused(given, "there is no such file or folder")
    if not os.access(path, os.X_OK):
        raise _refused(given, f"{path} is not executable")
    return str(path.absolute())


def _refused(given: str, problem: str) -> UsageError:
    return UsageError(
        f"--python (SCOREHOST_PYTHON) is {given!r}: {problem}. It takes a Python interpreter, or "
        "the folder of a venv or conda environment."
    )


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
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):  # of both, that of the venv is the later one
        active = environ.get(name, "")
        if active and os.access(Path(active) / "bin" / "python", os.X_OK):
            return "" if os.path.realpath(active) == os.path.realpath(prefix) else active
    return ""


def where_scripts_run(interpreter: Interpreter, environ: Mapping[str, str]) -> str:
    """Return a line for the log; "" where there is one environment, and no doubt about it."""
    if not interpreter.is_own:
        return f"the script runs in {interpreter}, the server in {own_interpreter()}"
    if active := active_elsewhere(environ):
        return (
            f"the environment {active} is active, but the script runs in the server's own, "
            f"{interpreter}. To use the active one, add --python {shlex.quote(active)}"
        )
    return ""


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
