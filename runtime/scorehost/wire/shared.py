"""The page of memory that the front shares with each worker.

It tells the front at any time which request the worker is in, without asking it, and the worker
which request the front wants interrupted.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

_BEGUN, _BEGUN_AT, _VICTIM, MARK_ALL, _DEBUGGED, _DEBUGGER_PORT = range(6)
SHARED_BYTES: Final = mmap.PAGESIZE


class SharedState:
    """Sixty-four-bit words that front and worker both map.

    Parameters
    ----------
    descriptor : a memory file of ``SHARED_BYTES``.
    """

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, SHARED_BYTES)
        self.words = memoryview(self._map).cast("Q")

    @staticmethod
    def create() -> int:
        """Make the memory file; the caller owns the descriptor."""
        descriptor = os.memfd_create("scorehost-shared", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, SHARED_BYTES)
        return descriptor

    def begin(self, number: int, now_ns: int) -> None:
        """Worker: this request is inside now (0: none)."""
        self.words[_BEGUN_AT] = now_ns
        self.words[_BEGUN] = number

    def end(self) -> None:
        self.words[_BEGUN] = 0

    @property
    def begun(self) -> int:
        """The number of the request inside, 0 when there is none."""
        return self.words[_BEGUN]

    @property
    def begun_at_ns(self) -> int:
        """When it was begun, on the monotonic clock."""
        return self.words[_BEGUN_AT]

    @property
    def victim(self) -> int:
        """The request that the front wants interrupted."""
        return self.words[_VICTIM]

    @victim.setter
    def victim(self, number: int) -> None:
        self.words[_VICTIM] = number

    @property
    def mark_all(self) -> bool:
        """Whether native code prints, so that every request must be marked in the output."""
        return bool(self.words[MARK_ALL])

    @mark_all.setter
    def mark_all(self, value: bool) -> None:
        self.words[MARK_ALL] = value

    @property
    def debugged(self) -> bool:
        """Whether a client is attached to a debugger that the script itself opened."""
        return bool(self.words[_DEBUGGED])

    @debugged.setter
    def debugged(self, value: bool) -> None:
        self.words[_DEBUGGED] = value

    @property
    def debugger_port(self) -> int:
        """Where on 127.0.0.1 the worker's debugger listens; 0: nowhere."""
        return self.words[_DEBUGGER_PORT]

    @debugger_port.setter
    def debugger_port(self, port: int) -> None:
        self.words[_DEBUGGER_PORT] = port

    def close(self) -> None:
        self.words.release()
        self._map.close()
