"""What the script prints, marked with its request where it is written.

The worker's standard output and error are one pipe that the front reads. ``print`` is untouched:
``sys.stdout`` and ``sys.stderr`` write to the pipe through :class:`MarkedPipe`, which puts a
mark before the first thing a request prints and after the last. What native code writes to the
descriptors itself is seen at the request's end as unread bytes in the pipe; from then on (the
front says so in the shared state) every request is marked. What other threads write carries no
id: nobody knows which request they work for.

What this cannot do: save an unfinished line when the process ends at once, by ``os._exit()`` or a
crash. Python's own streams lose it too, even on a terminal; ``print(…, flush=True)`` writes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import io
import logging
import os
import sys
import termios
import threading
from typing import Any, Final, TextIO

from scorehost import fast_json
from scorehost.wire import marks
from scorehost.wire.shared import MARK_ALL, SharedState

_NOTHING: Final = bytes(4)
"""FIONREAD's result when no byte is waiting."""
_LINE_BUFFERED: Final = 1  # _IOLBF of <stdio.h>, the same in glibc and musl
_PIECE: Final = 32 << 10
"""Characters of a log record; a longer one becomes several, so that the front need not hold it."""


class MarkedPipe(io.RawIOBase):
    """The raw end of one standard stream.

    Parameters
    ----------
    descriptor : 1 or 2; both are the same pipe.
    output : whose marks are written.
    """

    def __init__(self, descriptor: int, output: Output) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._output = output

    def fileno(self) -> int:
        """Return the stream's descriptor, as C code knows it."""
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write with the marks that tell which request it belongs to."""
        return self._output.write(bytes(data))

    def record(self, document: bytes) -> None:
        """Write a log record."""
        self._output.record(document)


class Output:
    """Both standard streams of the worker, which share one pipe to the front.

    Parameters
    ----------
    shared : has the secret of the marks; there the front says whether every request needs some.
    """

    def __init__(self, shared: SharedState) -> None:
        self._shared = shared
        self._opening = marks.opening(shared.take_secret())
        self._pause, self._resume = (
            marks.mark(self._opening, kind) for kind in (marks.PAUSE, marks.RESUME)
        )
        self._streams = (sys.stdout, sys.stderr)
        self._main = threading.get_ident()
        self._request_id = b""
        self._marked = False
        self._unread = bytearray(4)

    def install(self) -> None:
        """Put the marked streams in the place of the interpreter's."""
        write_lines_at_once()
        out, err = _text(MarkedPipe(1, self)), _text(MarkedPipe(2, self))
        sys.stdout = sys.__stdout__ = out  # type: ignore[misc,assignment] # declared final
        sys.stderr = sys.__stderr__ = err  # type: ignore[misc,assignment]
        self._streams = (out, err)

    def write(self, data: bytes) -> int:
        """Write for one of the streams, whichever thread asks."""
        if threading.get_ident() != self._main:
            if self._marked:
                _put_marked(self._pause, data, self._resume)
            else:
                _put(data)
        elif self._request_id and not self._marked:
            self._marked = True
            _put_marked(marks.mark(self._opening, marks.BEGIN, self._request_id), data)
        else:
            _put(data)
        return len(data)

    def record(self, document: bytes) -> None:
        """Write a log record, in marks that go into the pipe in one piece each."""
        at = 0
        while len(document) - at > marks.MOST_IN_A_PART:
            self.write(
                marks.mark(self._opening, marks.PART, document[at : at + marks.MOST_IN_A_PART])
            )
            at += marks.MOST_IN_A_PART
        self.write(marks.mark(self._opening, marks.RECORD, document[at:]))

    def flush(self) -> None:
        """Write what the script's streams have buffered."""
        for stream in {*self._streams, sys.stdout, sys.stderr}:
            _flush(stream)

    def begin(self, request_id: bytes) -> None:
        """Count what is written from now on as this request's."""
        self._request_id = request_id
        if self._shared.words[MARK_ALL]:
            self._marked = True
            _put(marks.mark(self._opening, marks.BEGIN, request_id))

    def end(self) -> None:
        """Flush what the request wrote and close its mark, if it wrote anything."""
        own_out, own_err = self._streams
        try:
            own_out.flush()
            own_err.flush()
        except Exception:
            _flush(own_err)
        if sys.stdout is not own_out or sys.stderr is not own_err:  # the script has others
            _flush(sys.stdout)
            _flush(sys.stderr)
        try:  # not contextlib.suppress, which costs every request a third of a microsecond
            if self._marked or self._native_output():
                _put(marks.mark(self._opening, marks.END, self._request_id))
        except OSError:  # the script has closed its outputs
            pass
        self._marked = False
        self._request_id = b""

    def forget(self) -> None:
        """Count what is written from now on as no request's.

        A process that the script has forked calls this: where the request ends is for its parent
        to mark.
        """
        self._marked = False
        self._request_id = b""

    def _native_output(self) -> bool:
        """Whether something unread is in the pipe, which only native code can have written."""
        fcntl.ioctl(1, termios.FIONREAD, self._unread)
        return self._unread != _NOTHING


def write_lines_at_once() -> None:
    """Have C's own streams write each line as it ends.

    Into a pipe they would buffer some kilobytes, and a line would turn up many requests later, or
    at the end of the process.
    """
    libc = ctypes.CDLL(None)
    for name in ("stdout", "stderr"):
        with contextlib.suppress(ValueError):  # not every C library has them as symbols
            stream = ctypes.c_void_p.in_dll(libc, name)
            libc.setvbuf(stream, None, _LINE_BUFFERED, 0)


def _put(data: bytes) -> None:
    written = os.write(1, data)
    while written < len(data):
        written += os.write(1, memoryview(data)[written:])


def _put_marked(before: bytes, data: bytes, after: bytes = b"") -> None:
    """Write text with its marks: in one piece, or each for itself, so that no mark is cut."""
    whole = before + data + after
    if len(whole) <= marks.PIPE_BUF:
        _put(whole)
    else:
        for each in (before, data, after):
            _put(each)


def _text(pipe: MarkedPipe) -> TextIO:
    # Line by line, as on a terminal: a log that arrives late explains nothing. Without a buffer,
    # print() would write each of its arguments separately. That takes four times as long, and
    # where another thread prints, each would get marks of its own and become a line of its own.
    buffered = io.BufferedWriter(pipe)
    return io.TextIOWrapper(buffered, "utf-8", "backslashreplace", line_buffering=True)


def _flush(stream: Any) -> None:
    with contextlib.suppress(Exception):
        stream.flush()


class RecordHandler(logging.Handler):
    """Hands log records to the front as records, with level and name.

    It stands where Python keeps its handler of last resort, so it works exactly as long as the
    script has not set up logging of its own.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record past what is buffered on standard error."""
        try:
            fields = {
                "level": _encodable(record.levelname),
                "number": record.levelno,
                "logger": _encodable(record.name),
            }
            message = _encodable(self.format(record))
            sys.stderr.flush()
            sys.__stderr__.flush()  # type: ignore[union-attr]
            pipe: MarkedPipe = sys.__stderr__.buffer.raw  # type: ignore[union-attr]
            for at in range(0, len(message) or 1, _PIECE):
                pipe.record(fast_json.dumps({**fields, "message": message[at : at + _PIECE]}))
        except Exception:
            self.handleError(record)


def _encodable(text: str) -> str:
    """Escape what UTF-8 cannot hold, as the streams do."""
    return text.encode("utf-8", "backslashreplace").decode()
