"""How a scoring process is started: as a fresh interpreter, or forked from the loader.

The front never forks itself: it has threads and an event loop. A fresh interpreter gets its
descriptors by inheritance, a worker forked from the loader gets them in a packet. All else is
the same for both.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

import scorehost
from scorehost.front.descriptors import raise_descriptor_limit
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.leftovers import MARK, mark_of
from scorehost.interpreter import interpreter_of, own_debugpy
from scorehost.settings import Settings
from scorehost.wire.requests import FORK, PROTOCOL, SETTINGS

_START: Final = str(Path(scorehost.__file__).parent / "worker" / "start.py")
THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS",
)  # fmt: skip


def thread_variables(environ: Mapping[str, str], cpus: float, workers: int) -> dict[str, str]:
    """Return the variables that give each worker its share of the CPUs; those set are kept."""
    share = str(max(1, int(cpus // max(1, workers))))
    return {name: share for name in THREAD_VARIABLES if name not in environ}


class Launcher:
    """Starts scoring processes.

    Parameters
    ----------
    settings, environ : what each process gets.
    cpus : CPUs that the workers share.

    Attributes
    ----------
    interpreter : runs the script.

    Raises
    ------
    UsageError
        SCOREHOST_PYTHON names none that can run it.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], cpus: float) -> None:
        self.settings = settings
        self.interpreter = interpreter_of(settings)
        self._lends_debugpy = settings.debug or settings.debug_on_demand
        self._cpus = cpus
        self._environ = self.interpreter.environment(environ)
        self._descriptors = raise_descriptor_limit()

    def start(
        self, handle: WorkerHandle, role: str = "worker", **orders: Any
    ) -> subprocess.Popen[bytes]:
        """Start a fresh interpreter for this handle.

        Parameters
        ----------
        handle : gets the process.
        role : "worker" or "loader".
        orders : further instructions; see ``Orders`` in ``worker/process.py``.
        """
        *inherited, output = handle.their_files()
        words = [str(word) for word in (*inherited, os.getpid())]
        environ = self._environ | thread_variables(self._environ, self._cpus, handle.member.share)
        environ[MARK] = mark_of(handle.member)
        try:
            process = subprocess.Popen(  # noqa: S603 - the script's interpreter, our module
                [self.interpreter.path, _START, *words],
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environ,
                # A terminal's Ctrl-C is the server's to handle, not the script's.
                start_new_session=True,
            )
        finally:
            handle.handed_over()
        handle.member.pid = process.pid
        if self._descriptors is not None:
            with contextlib.suppress(OSError):  # it has already ended, which is noticed elsewhere
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, self._descriptors)
        if self._lends_debugpy or orders.get("debugger_port"):
            orders = {"debugpy": own_debugpy(), **orders}
        orders = {"warm_up": handle.member.warms_up, "first": handle.member.index <= 1, **orders}
        document = {
            "protocol": PROTOCOL,
            "settings": self.settings.to_json(),
            "role": role,
            "orders": orders,
        }
        handle.send_control(SETTINGS, orjson.dumps(document))
        return process

    @staticmethod
    def fork(loader: WorkerHandle, handle: WorkerHandle) -> None:
        """Ask the loader to fork the process for this handle; it reports the pid later."""
        try:
            variable = {MARK: mark_of(handle.member)}
            loader.send_control(FORK, orjson.dumps(variable), handle.their_files())
        finally:
            handle.handed_over()
