"""The marks in a worker's output that tell which request it belongs to.

A worker writes them into the pipe that is its standard output and error; the front takes them out
again. Anybody can print any bytes, a client's for one. So a mark opens with a secret that the front
makes for each process (``wire/shared.py``), and whatever lacks it is text.

A mark goes into the pipe in one piece or not at all, as it takes at most ``PIPE_BUF`` bytes
(pipe(7)): neither another process nor an exception can cut it. Its payload may be anything, as its
size stands before it.
"""

from __future__ import annotations

import select
from typing import Final

from scorehost.wire.shared import SECRET_BYTES

PIPE_BUF: Final = select.PIPE_BUF
BEGIN, END, PAUSE, RESUME, PART, RECORD = b"B", b"E", b"P", b"R", b"l", b"L"
"""``PART`` is the beginning of a long record, and ``RECORD`` its end, or the whole."""

_FIRST: Final = b"\x00\x1a"
"""What text hardly ever holds, so that the end of a piece of text need not wait for more."""
_SIZE: Final = 2
HEAD: Final = len(_FIRST) + SECRET_BYTES + 1 + _SIZE
"""Bytes of a mark before its payload."""
MOST_IN_A_PART: Final = PIPE_BUF - 256
"""Bytes of a record in one mark; a ``BEGIN`` may have to go in front of it."""
LARGEST_RECORD: Final = 256 << 10
"""Bytes of a record in all its parts."""


def opening(secret: bytes) -> bytes:
    """Return what opens the marks of a process."""
    return _FIRST + secret


def mark(opening: bytes, kind: bytes, payload: bytes = b"") -> bytes:
    """Make one mark."""
    return opening + kind + len(payload).to_bytes(_SIZE, "big") + payload


def read_head(head: bytes) -> tuple[bytes, int]:
    """Return the kind of a mark, and how many bytes follow its head."""
    return head[-1 - _SIZE : -_SIZE], int.from_bytes(head[-_SIZE:], "big")
