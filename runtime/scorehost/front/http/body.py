"""A request's body while it arrives: a small one in memory, a larger one in a memory file.

A memory file goes to the scoring worker as it is; the front never copies the body again.
"""

from __future__ import annotations

import os

from scorehost.front.http.exchange import Exchange
from scorehost.wire.requests import MEMORY_FILE_FROM


class Body:
    """Collects the pieces of one connection's arriving body, however small they are."""

    __slots__ = ("_collected", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._collected = 0

    def add(self, exchange: Exchange, data: bytes) -> None:
        """Take the next piece.

        Raises
        ------
        OSError
            The memory file cannot be made or written.
        """
        exchange.size += len(data)
        self._pieces.append(data)
        self._collected += len(data)
        if self._collected >= MEMORY_FILE_FROM:
            self._to_file(exchange)

    def end(self, exchange: Exchange) -> None:
        """Leave the whole body with the exchange; raises OSError as :meth:`add` does."""
        if exchange.body_file >= 0:
            self._to_file(exchange)
        elif self._pieces:
            exchange.body = b"".join(self._pieces)
            self.forget()

    def forget(self) -> None:
        """Drop what belongs to a request that is not served."""
        self._pieces.clear()
        self._collected = 0

    def _to_file(self, exchange: Exchange) -> None:
        if exchange.body_file < 0:
            exchange.body_file = os.memfd_create("scorehost-body", os.MFD_CLOEXEC)
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.forget()
        written = 0
        while written < len(data):
            written += os.write(exchange.body_file, memoryview(data)[written:])
