"""What the script prints, marked with the request it belongs to, at the stream.

The worker's standard output and error are pipes that the front reads. ``print`` is untouched:
``sys.stdout`` and ``sys.stderr`` write to the pipes through :class:`MarkedPipe`, which puts a
mark before the first thing a request prints and after the last. What native code writes to the
descriptors itself is seen at the request's end as unread bytes in the pipe; from then on (the
front says so in the shared state) every request is marked. What other threads write carries no
id: nobody knows which request they work for.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import struct
import sys
import termios
import threading
from typing import Any, Final, TextIO

import orjson

from scorehost.worker.frames import SharedState

MARK: Final = b"\x00\x1a"
"""Opens a mark; text does not hold it."""
MARK_END: Final = b"\x00\n"
BEGIN, END, PAUSE, RESUME, RECORD = b"B", b"E", b"P", b"R", b"L"


def mark(kind: bytes, payload: bytes = b"") -> bytes:
    """Make one mark; the payload must not hold ``MARK_END``."""
    return MARK + kind + payload + MARK_END


class MarkedPipe(io.RawIOBase):
    """The raw end of one standard stream.

    Parameters
    ----------
    descriptor : 1 or 2.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._main = threading.get_ident()
        self.request_id = b""
        self.marked = False

    def fileno(self) -> int:
        """The stream's descriptor, as C code knows it."""
        return self._descriptor

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Write, with the marks that tell whose it is."""
        data = bytes(data)
        if threading.get_ident() != self._main:
            self._put(mark(PAUSE) + data + mark(RESUME) if self.marked else data)
        elif self.request_id and not self.marked:
            self.marked = True
            self._put(mark(BEGIN, self.request_id) + data)
        else:
            self._put(data)
        return len(data)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def begin(self, request_id: bytes) -> None:
        """Write the opening mark now, before native code writes."""
        self.marked = True
        self._put(mark(BEGIN, request_id))

    def end(self, request_id: bytes) -> None:
        """Write the closing mark."""
        self.marked = False
        self._put(mark(END, request_id))

    def unread(self) -> int:
        """Bytes in the pipe that the front has not read yet."""
        answer = fcntl.ioctl(self._descriptor, termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("i", answer)[0])


class Output:
    """Both standard streams of the worker.

    Parameters
    ----------
    shared : where the front says whether every request must be marked.
    """

    def __init__(self, shared: SharedState) -> None:
        self._shared = shared
        self._pipes = (MarkedPipe(1), MarkedPipe(2))
        self._streams: tuple[TextIO, ...] = ()

    def install(self) -> None:
        """Put the marked streams in the place of the interpreter's."""
        out, err = self._pipes
        sys.stdout = sys.__stdout__ = _text(out)  # type: ignore[misc] # a capture must hold both
        sys.stderr = sys.__stderr__ = _text(err)  # type: ignore[misc]
        self._streams = (sys.stdout, sys.stderr)

    def adopt_main_thread(self) -> None:
        """After a fork: the thread that forked is the main thread now."""
        for pipe in self._pipes:
            pipe._main = threading.get_ident()

    def begin(self, request_id: str) -> None:
        """Say that what comes belongs to this request."""
        name = request_id.encode("latin-1", "replace")
        for pipe in self._pipes:
            pipe.request_id = name
            if self._shared.mark_all:
                pipe.begin(name)

    def end(self) -> None:
        """Flush what the request wrote and close its marks, where it wrote anything."""
        for stream in self._streams:
            _flush(stream)
        for stream in (sys.stdout, sys.stderr):
            if stream not in self._streams:  # the script put its own there
                _flush(stream)
        for pipe in self._pipes:
            if pipe.marked or pipe.unread():
                pipe.end(pipe.request_id)
            pipe.request_id = b""


def _text(pipe: MarkedPipe) -> TextIO:
    # Line by line, as on a terminal: a log that arrives late explains nothing.
    buffered = io.BufferedWriter(pipe)
    return io.TextIOWrapper(buffered, "utf-8", "backslashreplace", line_buffering=True)


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except Exception:  # noqa: BLE001,S110 - a script may close or replace its streams
        pass


class RecordHandler(logging.Handler):
    """Hands log records to the front as records, with level and name.

    It stands where Python keeps its handler of last resort, so it works exactly as long as the
    script has not set up logging of its own.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one mark on standard error."""
        try:
            document = orjson.dumps(
                {"level": record.levelname, "logger": record.name, "message": self.format(record)}
            )
            sys.stderr.flush()
            sys.__stderr__.buffer.write(mark(RECORD, document))  # type: ignore[union-attr]
            sys.__stderr__.flush()  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)
