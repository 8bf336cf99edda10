"""What a worker prints: read from its pipe, cut into lines, and attributed to its request.

Theory of operation. Standard output and error of a process are one pipe. Python's own streams in
the worker put marks into it (``wire/marks.py``): BEGIN before the first thing a request prints,
END after its last, PAUSE and RESUME around what another thread writes, RECORD around a log record
with its level. Text does not contain a mark's first byte, so marks can be cut out wherever they
are:

* Bytes before a mark belong to the request that was writing until then. A mark in the middle of a
  line ends that line, except for RECORD, after which an unfinished line continues.
* A mark that has not arrived in full waits in ``_rest``, with whatever follows it.
* Unmarked bytes come from native code, which writes to the descriptor itself. They get the id of
  the request that is inside, and from then on (``shared.mark_all``) the worker marks every
  request, so that requests are told apart even when several pass between two reads.

Lines over 64 KiB are logged in pieces, so that no script can make the front hold more. When the
process has ended, the pipe is read to its end, and what is left without a line end is a line.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import Final, Protocol

import orjson

from scorehost.front.observe.log import PRINT, SCRIPT
from scorehost.wire import marks
from scorehost.wire.shared import SharedState

_READ_SIZE: Final = 64 << 10
_MOST_LEFT: Final = 1 << 20
"""Bytes: the most that a pipe can hold (pipe(7))."""
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
    shared : the state shared with the worker.
    last_lines : gets the newest lines.
    """

    def __init__(
        self, descriptor: int, log: Events, shared: SharedState, last_lines: deque[str]
    ) -> None:
        self._descriptor = descriptor
        self._log = log
        self._shared = shared
        self._last_lines = last_lines
        self._rest = b""
        self._whose = ""
        self._paused = ""
        self.pid = 0

    def read(self, inside: str) -> bool:
        """Read what is there; return False at the end of the pipe.

        Parameters
        ----------
        inside : id of the request that is in the worker, "" when there is none.
        """
        try:
            data = os.read(self._descriptor, _READ_SIZE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._take(data, inside)
        return bool(data)

    def drain(self, inside: str = "") -> None:
        """Read what a process has left, and end its last line; it may have been in a request."""
        self.catch_up(inside)
        self._line(self._rest, inside)
        self._rest = b""

    def catch_up(self, inside: str = "") -> None:
        """Read what is there now, within a bound: other processes may write to the pipe too."""
        left = _MOST_LEFT
        while left > 0:
            try:
                data = os.read(self._descriptor, _READ_SIZE)
            except OSError:
                return
            if not data:
                return
            left -= len(data)
            self._take(data, inside)

    def _take(self, data: bytes, inside: str) -> None:
        rest = self._rest + data
        while True:
            at = rest.find(marks.MARK)
            if at < 0:
                break
            end = rest.find(marks.MARK_END, at)
            if end < 0:
                break
            rest_before, payload = rest[:at], rest[at + len(marks.MARK) : end]
            rest = rest[end + len(marks.MARK_END) :]
            kind, value = payload[:1], payload[1:]
            whose = value.decode("latin-1") if kind == marks.END else inside
            left = self._lines(rest_before, whose)
            if kind == marks.RECORD:
                self._record(value)
                rest = left + rest  # an unfinished line continues after the record
            elif left:
                # The mark is in the middle of a line: what was before it is a line of its own.
                self._line(left, whose)
            self._mark(kind, value)
        self._rest = rest if marks.MARK in rest else self._lines(rest, inside)
        if len(self._rest) > _LONGEST_LINE and marks.MARK not in self._rest:
            self._line(self._rest, inside)
            self._rest = b""

    def _mark(self, kind: bytes, value: bytes) -> None:
        if kind == marks.BEGIN:
            self._whose = value.decode("latin-1")
        elif kind == marks.END:
            self._whose = ""
        elif kind == marks.PAUSE:
            self._paused, self._whose = self._whose, ""
        elif kind == marks.RESUME:
            self._whose = self._paused

    def _lines(self, data: bytes, inside: str) -> bytes:
        """Log the whole lines; return what is left."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._line(line, inside)
        return rest

    def _line(self, line: bytes, inside: str) -> None:
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        # A progress bar returns to the start of its line; its last state is what counts.
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
        except orjson.JSONDecodeError:
            self._line(value, "")
            return
        self._last_lines.append(f"{record['level']}:{record['logger']}: {record['message']}")
        self._log.event(
            record["number"],
            SCRIPT if record["logger"] == "root" else f"{SCRIPT}.{record['logger']}",
            record["message"],
            request_id=self._whose,
            pid=self.pid,
            always=True,
        )
