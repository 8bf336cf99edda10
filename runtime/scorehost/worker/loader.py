"""Preload: one process runs ``init()``; the scoring workers are forked from it.

The loader is the only process that forks, and it does so with one thread. It passes on only the
sockets that the front sends it, reaps its children and reports how they ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from scorehost import fast_json
from scorehost.wire import answers, requests
from scorehost.worker.channel import Channel, end_with_parent


class Loader:
    """Forks a scoring worker whenever the front asks for one.

    Parameters
    ----------
    adopt : called in each child with a channel of its own, which takes the place of the loader's.
    """

    def __init__(self, channel: Channel, adopt: Callable[[Channel], None]) -> None:
        self._channel = channel
        self._adopt = adopt
        self._children: set[int] = set()
        self._scripts_own: Any = signal.SIG_DFL

    def run(self) -> bool:
        """Fork whenever asked; returns True in each child, and False in the loader at its end."""
        self._scripts_own = signal.signal(signal.SIGCHLD, self._reap) or signal.SIG_DFL
        refusal = why_not_fork()
        document = fast_json.dumps({"refusal": refusal})
        self._channel.send(answers.pack_frame(answers.FORKED, os.getpid(), document))
        while True:
            packet = self._channel.reader.next()
            if not isinstance(packet, requests.Control) or packet.kind == requests.STOP:
                return False
            if packet.kind == requests.FORK and self._fork(packet):
                return True

    def _fork(self, packet: requests.Control) -> bool:
        """Start one scoring worker; True in the child."""
        parent = os.getpid()
        flush_streams()
        error = ""
        try:
            pid = os.fork()
        except OSError as refused:
            pid, error = -1, str(refused)
        if pid == 0:
            self._become_worker(parent, packet)
            return True
        for descriptor in packet.files:
            os.close(descriptor)
        document = fast_json.dumps({"error": error})
        self._channel.send(answers.pack_frame(answers.FORKED, max(0, pid), document))
        if pid > 0:
            # Not before the frame is sent: the front must hear of its start before its end.
            self._children.add(pid)
            self._reap()
        return False

    def _become_worker(self, parent: int, packet: requests.Control) -> None:
        end_with_parent(parent)
        os.environ.update(fast_json.loads(packet.body))
        signal.signal(signal.SIGCHLD, self._scripts_own)
        os.setsid()
        *ours, output = packet.files
        for target in (1, 2):
            os.dup2(output, target)
        os.close(output)
        old = self._channel
        self._adopt(Channel(*ours))
        old.requests.close()
        old.answers.close()

    def _reap(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        for child in list(self._children):
            try:
                pid, status = os.waitpid(child, os.WNOHANG)
            except ChildProcessError:
                pid, status = child, 0
            if pid:
                self._children.discard(child)
                document = fast_json.dumps({"code": _exit_code(status)})
                self._channel.send(answers.pack_frame(answers.CHILD_ENDED, child, document))


def _exit_code(status: int) -> int:
    """Do what ``os.waitstatus_to_exitcode`` does, from Python 3.9 on."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def flush_streams() -> None:
    """Write what Python and C have buffered, so that the children don't write it again."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a script may close or replace them
            stream.flush()
    ctypes.CDLL(None).fflush(None)


def why_not_fork() -> str:
    """Say why forking this process now would break its children; "" if it would not."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "CUDA was initialised before the fork, and a forked process cannot use it"
    main = threading.main_thread()
    others = [thread.name for thread in threading.enumerate() if thread is not main]
    if others:
        names = ", ".join(others)
        return (
            f"threads were started before the fork ({names}), and a forked process would lack them"
        )
    native = len(os.listdir("/proc/self/task")) - 1  # noqa: PTH208 - a count of kernel threads
    if native > 0 and not only_openblas():
        return (
            f"{native} native threads were started before the fork, and a forked process has none"
        )
    return ""


def only_openblas() -> bool:
    """Whether native threads can only be OpenBLAS's: it ends its pool before a fork.

    GNU and Intel OpenMP do not: a child that enters a parallel region waits for ever
    (pytorch/pytorch #17199 and many like it).
    """
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:  # noqa: PTH123
        loaded = maps.read()
    return "openblas" in loaded and not any(
        name in loaded for name in ("libgomp", "libiomp", "libomp")
    )
