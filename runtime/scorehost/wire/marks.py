"""The marks in a worker's output that tell which request it belongs to.

A worker writes them into the pipe that is its standard output and error; the front takes them out
again. A mark is a NUL byte with what text does not hold, so that it can stand anywhere.
"""

from __future__ import annotations

from typing import Final

MARK: Final = b"\x00\x1a"
"""Opens a mark; text does not hold it."""
MARK_END: Final = b"\x00\n"
BEGIN, END, PAUSE, RESUME, RECORD = b"B", b"E", b"P", b"R", b"L"


def mark(kind: bytes, payload: bytes = b"") -> bytes:
    """Make one mark; the payload must not hold ``MARK_END``."""
    return MARK + kind + payload + MARK_END
