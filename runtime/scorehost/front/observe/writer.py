"""Writes the log without ever making the front wait.

A pipe that nobody reads would block the server at its next line. So a thread writes, and lines
beyond a bound are dropped and counted.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

MOST_KEPT: Final = 8 << 20
"""Bytes of log that may wait for a slow reader; beyond it lines are dropped and counted."""
_LAST_WORDS: Final = 2.0
"""Seconds that close() waits for a slow reader."""


class LogWriter:
    """One descriptor, written by one thread.

    Parameters
    ----------
    descriptor : where the log goes.

    Attributes
    ----------
    dropped : makes the line that tells how many lines were dropped.
    """

    dropped: Callable[[int], bytes] = b"(%d lines of the log were dropped)\n".__mod__

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._kept = 0
        self._dropped = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def write(self, data: bytes) -> None:
        if self._closed:
            with contextlib.suppress(OSError):
                self._put(data)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="scorehost-log", daemon=True)
            self._thread.start()
        if self._kept > MOST_KEPT:
            self._dropped += data.count(b"\n")
            return
        self._kept += len(data)
        self._queue.put(data)

    def close(self) -> None:
        """Wait until everything is written, or the reader turns out to be too slow."""
        self._closed = True  # from now on write() writes by itself
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(_LAST_WORDS)
            self._thread = None

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            with contextlib.suppress(OSError):  # the reader is gone; later lines are tried again
                self._put(data)
            self._kept -= len(data)
            if self._dropped and self._kept <= MOST_KEPT // 2:
                count, self._dropped = self._dropped, 0
                with contextlib.suppress(OSError):
                    self._put(self.dropped(count))

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
