"""A request's body while it arrives: a small one in memory, a larger one in a memory file.

A memory file goes to the scoring worker as it is; the front never copies the body again.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from scorehost.front.http.exchange import Exchange
from scorehost.wire.requests import MEMORY_FILE_FROM


def memory_file() -> int:
    """Make an empty memory file; return its descriptor."""
    return os.memfd_create("scorehost-body", os.MFD_CLOEXEC)


class Body:
    """Collects the pieces of one connection's arriving body, however small they are.

    ``make_file`` makes the memory file for a large one.
    """

    __slots__ = ("_collected", "_make_file", "_piece")

    def __init__(self, make_file: Callable[[], int] = memory_file) -> None:
        self._make_file = make_file
        self._piece = b""
        self._collected = bytearray()  # a list would take fifty times the bytes of tiny pieces

    def add(self, exchange: Exchange, data: bytes) -> None:
        """Take the next piece.

        Raises
        ------
        OSError
            The memory file cannot be made or written.
        Overloaded
            ``make_file`` has none.
        """
        exchange.size += len(data)
        if not (self._piece or self._collected):
            self._piece = data  # mostly the only one
        else:
            self._collected += self._piece
            self._collected += data
            self._piece = b""
        if len(self._piece) + len(self._collected) >= MEMORY_FILE_FROM:
            self._to_file(exchange)

    def end(self, exchange: Exchange) -> None:
        """Leave the whole body with the exchange; raises as :meth:`add` does."""
        if exchange.body_file >= 0:
            self._to_file(exchange)
        else:
            exchange.body = self._piece or bytes(self._collected)
            self.forget()

    def forget(self) -> None:
        """Drop what belongs to a request that is not served."""
        self._piece = b""
        self._collected.clear()

    def _to_file(self, exchange: Exchange) -> None:
        if exchange.body_file < 0:
            exchange.body_file = self._make_file()
        left = memoryview(self._piece or bytes(self._collected))
        self.forget()
        while left:
            left = left[os.write(exchange.body_file, left) :]
