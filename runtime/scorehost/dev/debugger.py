"""The debugger in a scoring worker: debugpy, listening on a private port of 127.0.0.1.

The front relays the public port to it, so the front knows when a client is attached and can lead
the port to the next worker after a reload. Child processes are not debugged: their debuggers would
listen where no client can reach them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType
from typing import Any

from scorehost.dev import ptvsd_calls
from scorehost.dev.script_debuggers import answer_as_done
from scorehost.settings import Settings
from scorehost.wire.shared import SharedState
from scorehost.wire.signals import DEBUG_SIGNAL

_PRIVATE_HOST = "127.0.0.1"
_OLDEST = (1, 6, 3)
"""The first debugpy that does all that is asked of it here; pyproject.toml says the same."""
_log = logging.getLogger("scorehost")


def _fits() -> bool:
    """Whether the script's environment has a debugpy that is new enough."""
    try:
        version = importlib.metadata.version("debugpy")
        return tuple(int(part) for part in version.split(".")[:3]) >= _OLDEST
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False


class _Lent:
    """Finds debugpy in a folder of the server's, and nothing else there."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [self._folder], target) if name == "debugpy" else None


class Debugger:
    """debugpy in this process.

    Parameters
    ----------
    settings : debug mode, the public address and port, how long to wait.
    shared : tells the front the private port.
    lent : the server's debugpy, for an environment that has none that fits: its folder, and the
        Python for debugpy's adapter, which is a process of its own.
    """

    def __init__(
        self, settings: Settings, shared: SharedState, *, lent: dict[str, str] | None = None
    ) -> None:
        self._settings = settings
        self.shared = shared
        self._debugpy: Any = None
        self._adapter_python = ""
        if lent is not None and not _fits():
            sys.meta_path.insert(0, _Lent(lent["folder"]))
            self._adapter_python = lent["python"]

    def set_up(self, tell_stage: Callable[[str], None], *, wait: bool) -> None:
        """Open now, in debug mode; otherwise wait for the signal to open later.

        Parameters
        ----------
        tell_stage : told what the worker waits for.
        wait : whether --debug-wait applies, which it does to the first worker only.
        """
        if importlib.util.find_spec("debugpy") is None:
            return  # the front has said so
        if not self._settings.debug:
            signal.signal(DEBUG_SIGNAL, self._open_on_demand)
            return
        tell_stage("debugger")
        self.open()
        if self._settings.debug_wait and wait:
            tell_stage("waiting for a debugger")
            ptvsd_calls.wait_for_attach(self._settings.debug_wait)
        answer_as_done(self._debugpy, (self._settings.debug_host, self._settings.debug_port))
        sys.modules["ptvsd"] = ptvsd_calls  # two debuggers in one process disturb each other

    def wait_for_editor(self, port: int, tell_stage: Callable[[str], None]) -> None:
        """Listen where an editor expects it, and wait for as long as it takes.

        Raises
        ------
        OSError, RuntimeError
            The port is in use.
        """
        self.open(port)
        tell_stage("waiting for an editor")
        self._debugpy.wait_for_client()
        answer_as_done(self._debugpy, (_PRIVATE_HOST, port))

    def open(self, port: int = 0) -> None:
        if self._debugpy is not None:
            return
        # Every log would have debugpy's warning about frozen modules; breakpoints are in the
        # script's files, which are not frozen.
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        import debugpy

        debugpy.configure(subProcess=False)
        if self._adapter_python:
            debugpy.configure(python=self._adapter_python)
        listen = getattr(debugpy.listen, "original", debugpy.listen)
        _, port = listen((_PRIVATE_HOST, port))
        self._debugpy = debugpy
        self.shared.debugger_port = port

    def _open_on_demand(self, _signal: int, _frame: FrameType | None) -> None:
        try:
            self.open()
        except Exception as error:
            _log.error(f"the debugger could not be opened: {error}")
