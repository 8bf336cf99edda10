"""Run as a program: what does importing each module of a package do besides defining things?

    python import_probe.py FOLDER PACKAGE…

Everything the packages import from elsewhere is imported first, so that only their own doing is
seen. Then each module is imported in a fork of this process, with ``os.environ`` replaced by one
that tells who reads it, an audit hook for what reaches the system, and the interpreter's state
compared before and after. Prints one JSON object: module → what it did.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import contextlib
import faulthandler
import gc
import importlib
import json
import locale
import logging
import os
import pkgutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

TELLING = (
    "open", "os.", "shutil.", "socket.", "subprocess.", "tempfile.", "_thread.start", "signal.",
    "fcntl.", "ctypes.dlopen", "syslog.", "pty.", "resource.", "glob.", "pathlib.", "webbrowser.",
    "sys.addaudithook", "sys.setprofile", "sys.settrace", "builtins.input", "urllib.",
)  # fmt: skip
"""Audit events, or their beginnings, of code that reaches out of the interpreter."""


def main() -> None:
    """Probe every module of the packages named on the command line."""
    sys.dont_write_bytecode = True
    folder, *packages = sys.argv[1:]
    sys.path.insert(0, folder)
    modules = [name for package in packages for name in all_modules(Path(folder), package)]
    for name in foreign_imports(Path(folder), packages):
        # Optional packages may be absent; the modules that want them say so themselves.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    print(json.dumps({name: in_a_fork(lambda name=name: probe(name, folder)) for name in modules}))


def all_modules(folder: Path, package: str) -> Iterator[str]:
    """The package and everything in it, found without importing any of it."""
    yield package
    for info in pkgutil.iter_modules([str(folder / package.replace(".", "/"))], package + "."):
        if info.ispkg:
            yield from all_modules(folder, info.name)
        else:
            yield info.name


def foreign_imports(folder: Path, packages: list[str]) -> list[str]:
    """Every module that the packages name in an import and that is not theirs."""
    names: set[str] = set()
    for package in packages:
        for file in sorted((folder / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    names.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module)
                    names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return sorted(name for name in names if name.partition(".")[0] not in packages)


def in_a_fork(task: Callable[[], list[str]]) -> list[str]:
    """What the task returns, done in a copy of this process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = task()
        except BaseException as error:
            found = [f"raised {error!r}"]
        with os.fdopen(write, "w") as pipe:
            json.dump(found, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    return list(json.loads(text)) if text else [f"ended the process: status {status}"]


def probe(name: str, folder: str) -> list[str]:
    """Import one module; everything it did that it should not."""
    found: list[str] = []
    watching = True

    def note(what: str) -> None:
        if watching and what not in found:
            found.append(what)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        # Most events say nothing here; some, such as looking at a frame, are caused by this hook.
        if not watching or not event.startswith(TELLING) or caller(folder) is None:
            return
        if event == "open":
            note(f"opened {arguments[0]}")
        else:
            note(f"{event}{arguments!r:.100}")

    def tell(variable: str) -> None:
        if caller(folder) is not None:
            note(f"read variable {variable}")

    def start(thread: threading.Thread) -> None:
        # An audit event only since Python 3.12, and the thread may be over before we look.
        note(f"started thread {thread.name}")
        start_thread(thread)

    start_thread = threading.Thread.start
    before = state()
    with (
        mock.patch.object(os, "environ", Watched(os.environ, tell)),
        mock.patch.object(threading.Thread, "start", start),
    ):
        sys.addaudithook(audit)
        importlib.import_module(name)
        watching = False
    after = state()
    return found + [
        f"changed {key}: {before[key]!r:.200} → {after[key]!r:.200}"
        for key in before
        if before[key] != after[key]
    ]


def caller(folder: str) -> FrameType | None:
    """The module of the packages that is doing this, unless the import system is in between."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib"):
            return None
        if file.startswith(folder):
            return frame
        frame = frame.f_back
    return None


class Watched(dict[str, str]):
    """An environment that tells of each reading; it is a copy, so writing shows too."""

    def __init__(self, environ: Any, tell: Callable[[str], object]) -> None:
        super().__init__(environ)
        self._tell = tell

    def __getitem__(self, key: str) -> str:
        self._tell(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._tell(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self._tell(str(key))
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self._tell("(all)")
        return super().__iter__()

    def keys(self) -> Any:
        self._tell("(all)")
        return super().keys()

    def values(self) -> Any:
        self._tell("(all)")
        return super().values()

    def items(self) -> Any:
        self._tell("(all)")
        return super().items()

    def copy(self) -> dict[str, str]:
        self._tell("(all)")
        return super().copy()

    def __setitem__(self, key: str, value: str) -> None:
        self._tell(f"{key} (to set it)")
        super().__setitem__(key, value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._tell(f"{key} (to set it)")
        return super().setdefault(key, default)

    def update(self, *arguments: Any, **values: str) -> None:
        self._tell("(to update it)")
        super().update(*arguments, **values)

    def pop(self, key: str, *default: Any) -> Any:
        self._tell(f"{key} (to remove it)")
        return super().pop(key, *default)


def state() -> dict[str, Any]:
    """What of the interpreter and the process an import could change."""
    root = logging.getLogger()
    return {
        "signal handlers": {str(each): repr(signal.getsignal(each)) for each in signals()},
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "open descriptors": sorted(os.listdir("/proc/self/fd")),
        "exit handlers": atexit._ncallbacks(),
        "folder": os.getcwd(),
        "file mask": _umask(),
        "locale": locale.setlocale(locale.LC_ALL),
        "faulthandler": faulthandler.is_enabled(),
        "collector": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), len(gc.callbacks)),
        "sys.path": list(sys.path),
        "import hooks": [repr(each) for each in (*sys.meta_path, *sys.path_hooks)],
        "hooks": [
            repr(each) for each in (sys.excepthook, sys.unraisablehook, threading.excepthook)
        ],
        "streams": [id(each) for each in (sys.stdin, sys.stdout, sys.stderr)],
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace()),
        "builtins": {key: id(value) for key, value in vars(builtins).items() if key != "_"},
        "logging": (root.level, root.disabled, [repr(each) for each in root.handlers], levels()),
        "log record factory": repr(logging.getLogRecordFactory()),
        "warnings": (len(warnings.filters), repr(warnings.showwarning)),
    }


def signals() -> list[signal.Signals]:
    """Signals whose handler can be asked for."""
    return sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})  # type: ignore[arg-type]


def levels() -> dict[str, Any]:
    """Loggers that somebody configured."""
    configured = {}
    for name, logger in logging.Logger.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and (logger.level or logger.handlers):
            configured[name] = (logger.level, [repr(each) for each in logger.handlers])
    return configured


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


if __name__ == "__main__":
    main()
