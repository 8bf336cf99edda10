"""What a worker prints: read from its pipe, cut into lines, and attributed to its request.

Theory of operation. Standard output and error of a process are one pipe, and so are those of the
processes that its script starts. Python's own streams in the worker put marks into it
(``wire/marks.py``): BEGIN before the first thing a request prints, END after its last, PAUSE and
RESUME around what another thread writes, RECORD for a log record with its level, after a PART for
each piece of a long one. A mark opens with the secret of its process, so none that a
script or its client makes up is taken for one. A mark is written in one piece:

* Bytes before a mark belong to the request that was writing until then. A mark in the middle of a
  line ends that line, except for a record, after which an unfinished line continues.
* A mark, or only its opening, may end beyond what has been read. What there is of it waits in
  ``_undecided``: some bytes, or 64 KiB if a script has made up a mark with its own secret.
* An unfinished line waits in ``_unfinished``, and is not looked at again.
* Unmarked bytes come from native code, which writes to the descriptor itself, or from another
  process. They get the id of the request that is inside, and from then on (``shared.mark_all``) the
  worker marks every request, so that requests are told apart even when several pass between two
  reads.

Lines over 64 KiB are logged in pieces, so that no script can make the front hold more. A turn of
the event loop reads no more than it can log in two milliseconds: whatever a script prints, the
front has time for others. When the process has ended, everything is read that is in the pipe then,
and what is left without a line end is a line.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import termios
from collections import deque
from typing import Final, Protocol

import orjson

from scorehost.front.observe.log import PRINT, SCRIPT
from scorehost.wire import marks
from scorehost.wire.shared import SharedState

_TURN: Final = 1 << 10
"""Bytes that are read in one turn of the event loop: five hundred of the shortest lines, which take
two milliseconds."""
_AT_ONCE: Final = 64 << 10
"""Most bytes of one read when everything that is in the pipe is wanted now (``catch_up``)."""
_LONGEST_LINE: Final = 64 << 10
"""Bytes; a longer line is logged in pieces."""


class Events(Protocol):
    """Where lines go."""

    def event(
        self, level: int, logger: str, message: str, *, request_id: str = "", pid: int = 0,
        always: bool = False,
    ) -> None:  # fmt: skip
        """Take one line, or one record of the script's loggers."""


class ScriptOutput:
    """The pipe that is standard output and error of one worker.

    Parameters
    ----------
    descriptor : the pipe's reading end.
    log : where lines go.
    shared : the state shared with the worker, with the secret of its marks.
    last_lines : gets the newest lines.
    """

    def __init__(
        self, descriptor: int, log: Events, shared: SharedState, last_lines: deque[str]
    ) -> None:
        self._descriptor = descriptor
        self._log = log
        self._shared = shared
        self._last_lines = last_lines
        self._opening = opening = marks.opening(shared.secret)
        self._openings = tuple(opening[:size] for size in range(len(opening) - 1, 0, -1))
        """How the end of what has been read may begin a mark, longest first."""
        self._undecided = b""
        self._unfinished = b""
        self._parts = b""
        self._whose = ""
        self._paused = ""
        self.pid = 0

    def read(self, inside: str) -> bool:
        """Read some of what is there; return False at the end of the pipe.

        Parameters
        ----------
        inside : id of the request that is in the worker, "" when there is none.
        """
        try:
            data = os.read(self._descriptor, _TURN)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._take(data, inside)
        return bool(data)

    def drain(self, inside: str = "") -> None:
        """Read what a process has left, and end its last line; it may have been in a request."""
        self.catch_up(inside)
        self._text(self._undecided, inside)
        self._undecided = b""
        self._end_line(inside)

    def catch_up(self, inside: str = "") -> None:
        """Read what is there now, and not what other processes go on writing to the pipe."""
        try:
            left = self._waiting()
            while left > 0 and (data := os.read(self._descriptor, min(left, _AT_ONCE))):
                left -= len(data)
                self._take(data, inside)
        except OSError:
            return

    def _waiting(self) -> int:
        """Return how many bytes are in the pipe."""
        count = fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4))
        return int.from_bytes(count, sys.byteorder)

    def _take(self, data: bytes, inside: str) -> None:
        data = self._undecided + data
        at = 0
        while (found := data.find(self._opening, at)) >= 0:
            start = found + marks.HEAD
            kind, size = marks.read_head(data[found:start])
            if len(data) < start + size:
                self._undecided = data[at:]
                return
            value = data[start : start + size]
            whose = value.decode("latin-1") if kind == marks.END else inside
            self._text(data[at:found], whose)
            self._mark(kind, value, whose)
            at = start + size
        text, self._undecided = self._without_opening(data[at:])
        self._text(text, inside)

    def _without_opening(self, data: bytes) -> tuple[bytes, bytes]:
        """Split off what may be the first bytes of a mark."""
        if data.endswith(self._openings):
            for each in self._openings:
                if data.endswith(each):
                    return data[: -len(each)], each
        return data, b""

    def _mark(self, kind: bytes, value: bytes, inside: str) -> None:
        if kind in (marks.PART, marks.RECORD):
            self._parts += value
            if kind == marks.RECORD or len(self._parts) > marks.LARGEST_RECORD:
                self._record(self._parts)
                self._parts = b""
            return
        self._end_line(inside)
        if kind == marks.BEGIN:
            self._whose = value.decode("latin-1")
        elif kind == marks.END:
            self._whose, self._parts = "", b""
        elif kind == marks.PAUSE:
            self._paused, self._whose = self._whose, ""
        elif kind == marks.RESUME:
            self._whose = self._paused

    def _text(self, data: bytes, inside: str) -> None:
        """Log the whole lines, and keep what is left."""
        first, *others = data.split(b"\n")
        self._unfinished += first
        for line in others:
            self._end_line(inside)
            self._unfinished = line
        if len(self._unfinished) > _LONGEST_LINE:
            self._end_line(inside)

    def _end_line(self, inside: str) -> None:
        line, self._unfinished = self._unfinished, b""
        if line:
            self._line(line, inside)

    def _line(self, line: bytes, inside: str) -> None:
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        # A progress bar begins with a return to the start of its line, and its last state is what
        # counts. Behind other text a return would hide that, and may be a client's: it is shown.
        if text.startswith("\r"):
            text = text.rpartition("\r")[2]
        if not text:
            return
        if inside and not self._whose and not self._shared.mark_all:
            self._shared.mark_all = True
        self._last_lines.append(text)
        self._log.event(
            logging.INFO, PRINT, text, request_id=self._whose or inside, pid=self.pid, always=True
        )

    def _record(self, value: bytes) -> None:
        try:
            record = orjson.loads(value)
            level, number = str(record["level"]), int(record["number"])
            logger, message = str(record["logger"]), str(record["message"])
        except (ValueError, TypeError, LookupError, OverflowError):
            self._line(value, "")
            return
        self._last_lines.append(f"{level}:{logger}: {message}")
        self._log.event(
            number,
            SCRIPT if logger == "root" else f"{SCRIPT}.{logger}",
            message,
            request_id=self._whose,
            pid=self.pid,
            always=True,
        )
