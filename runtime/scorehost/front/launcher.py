"""How a scoring process comes to be: a fresh interpreter, or forked from the loader.

The front never forks itself: it has threads and an event loop. A fresh interpreter gets its
descriptors by inheritance, a worker forked from the loader by a packet; everything after that
is the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import orjson

from scorehost.front.handle import WorkerHandle
from scorehost.settings import Settings
from scorehost.worker import frames

# The script's folder must not come first on sys.path while our own modules are imported: a
# user's json.py would take the place of Python's.
_COMMAND: Final = (
    "import sys\n"
    "if sys.path and sys.path[0] == '': del sys.path[0]\n"
    "from scorehost.worker.process import main\n"
    "main()"
)
THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS",
)  # fmt: skip


def thread_variables(environ: Mapping[str, str], cpus: float, workers: int) -> dict[str, str]:
    """The variables that give each worker its share of the CPUs.

    Parameters
    ----------
    environ : what the user has set stays as it is.
    cpus : CPUs the server may use.
    workers : scoring workers that share them.
    """
    share = str(max(1, int(cpus // max(1, workers))))
    return {name: share for name in THREAD_VARIABLES if name not in environ}


class Launcher:
    """Starts scoring processes.

    Parameters
    ----------
    settings : handed to each process.
    environ : the environment of each process.
    cpus : CPUs the workers share.
    workers : how many do; may be changed later, for those that start then.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], cpus: float, workers: int
    ) -> None:
        self.settings = settings
        self.workers = workers
        self._cpus = cpus
        self._environ = dict(environ)

    def start(self, handle: WorkerHandle, role: str = "worker") -> subprocess.Popen[bytes]:
        """Start a fresh interpreter for this handle."""
        requests, answers, shared, stacks, output = handle.their_files()
        words = [str(word) for word in (requests, answers, shared, stacks, os.getpid())]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-c", _COMMAND, *words],
            pass_fds=(requests, answers, shared, stacks),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=self._environ | thread_variables(self._environ, self._cpus, self.workers),
            # A terminal's Ctrl-C is the server's to handle, not the script's.
            start_new_session=True,
        )
        handle.pid = process.pid
        document = {
            "settings": self.settings.to_json(),
            "role": role,
            "warm_up": handle.warms_up,
            "first": handle.index <= 1,
        }
        handle.send_control(frames.SETTINGS, orjson.dumps(document))
        handle.handed_over()
        return process

    @staticmethod
    def fork(loader: WorkerHandle, handle: WorkerHandle) -> None:
        """Ask the loader to fork the process for this handle; its pid comes later."""
        loader.send_control(frames.FORK, files=handle.their_files())
        handle.handed_over()
