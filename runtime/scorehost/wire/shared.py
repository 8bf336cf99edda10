"""The page of memory that the front shares with each worker.

It tells the front at any time which request the worker is in, without asking it, and the worker
which request the front wants interrupted. And it holds what nobody but the two may know: each
process has a page of its own, and no way to it but the file that it is handed at its start.
"""

from __future__ import annotations

import mmap
import os
from typing import Any, Final

_BEGUN, _BEGUN_AT, _VICTIM, MARK_ALL, _DEBUGGED, _DEBUGGER_PORT = range(6)
SHARED_BYTES: Final = mmap.PAGESIZE
SECRET_BYTES: Final = 16
_SECRET_AT: Final = 8 * 6  # behind the words


def _word(index: int) -> Any:
    """A property that reads and writes one word."""

    def read(self: SharedState) -> int:
        return self.words[index]

    def write(self: SharedState, value: int) -> None:
        self.words[index] = value

    return property(read, write)


class SharedState:
    """Sixty-four-bit words that front and worker both map.

    Parameters
    ----------
    descriptor : a memory file of ``SHARED_BYTES``.

    Attributes
    ----------
    begun : number of the request that is in the worker; 0 for none.
    begun_at_ns : when it was begun, on the monotonic clock.
    victim : number of the request that the front wants interrupted.
    mark_all : native code prints, so every request must be marked in the output.
    debugged : a client is attached to a debugger that the script itself opened.
    debugger_port : where on 127.0.0.1 the worker's debugger listens; 0 for nowhere.
    secret : what the worker's marks in its output hold, so that no others are believed.
    """

    begun: int = _word(_BEGUN)
    begun_at_ns: int = _word(_BEGUN_AT)
    victim: int = _word(_VICTIM)
    mark_all: bool = _word(MARK_ALL)
    debugged: bool = _word(_DEBUGGED)
    debugger_port: int = _word(_DEBUGGER_PORT)

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, SHARED_BYTES)
        self.secret = self._map[_SECRET_AT : _SECRET_AT + SECRET_BYTES]
        self.words = memoryview(self._map).cast("Q")

    @staticmethod
    def create() -> int:
        """Make the memory file, with a new secret in it; the caller owns the descriptor."""
        descriptor = os.memfd_create("scorehost-shared", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, SHARED_BYTES)
        os.pwrite(descriptor, os.urandom(SECRET_BYTES), _SECRET_AT)
        return descriptor

    def begin(self, number: int, now_ns: int) -> None:
        """Record that this request is inside now; called by the worker."""
        self.words[_BEGUN_AT] = now_ns
        self.words[_BEGUN] = number

    def end(self) -> None:
        self.words[_BEGUN] = 0

    def take_secret(self) -> bytes:
        """Return the secret, and erase it; called by the worker.

        The page stays an open file of its, and a script may be made to show any file.
        """
        self._map[_SECRET_AT : _SECRET_AT + SECRET_BYTES] = bytes(SECRET_BYTES)
        return self.secret

    def close(self) -> None:
        self.words.release()
        self._map.close()
