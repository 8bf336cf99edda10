"""How front and worker put their messages on the wire between them.

Two sockets join the front and one scoring worker:

* **requests**, ``SOCK_SEQPACKET``: one packet is one request. The kernel hands a packet to
  exactly one reader, and the front keeps a copy of the worker's end; so receiving a packet is
  the one atomic act of beginning it, and whatever the worker has not begun, the front can take
  back by receiving it itself. Large bodies travel beside the packet as a memory file.
* **answers**, ``SOCK_STREAM``: length-prefixed frames, so that one read of the front gets all
  that are there.

A few shared bytes (:class:`SharedState`) tell the front at any time which request the worker
is in, without asking it.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import orjson

from scorehost.errors import FrameError
from scorehost.messages import (
    Answer,
    Failure,
    HeaderList,
    Outcome,
    OwnAnswer,
    ScoringRequest,
    Stream,
)

# -- requests: front to worker ----------------------------------------------------------------

SETTINGS: Final = 0
SCORE_PLAIN: Final = 1  # a POST whose method, headers and address the script cannot see
SCORE_FULL: Final = 2  # everything the script may ask for
STOP: Final = 3
FORK: Final = 4

_REQUEST = struct.Struct("<BBHIQ")  # kind, 1 if the body is a memory file, id, meta, number
REQUEST_PREFIX: Final = _REQUEST.size
MEMORY_FILE_FROM: Final = 48 << 10
"""Bodies from this size travel as a memory file (bytes); a packet must fit the send buffer,
208 KiB by default on Linux (net.core.wmem_default), several times over."""
LARGEST_PACKET: Final = 192 << 10
_CUT: Final = int(socket.MSG_TRUNC) | int(socket.MSG_CTRUNC)  # an enum's | takes 2 µs each time


def pack_request(
    kind: int, number: int, request_id: bytes, meta: bytes, body: bytes, *, in_file: bool = False
) -> bytes:
    """Make one request packet."""
    prefix = _REQUEST.pack(kind, in_file, len(request_id), len(meta), number)
    return b"".join((prefix, request_id, meta, body))


def pack_plain(number: int, request_id: bytes, body: bytes, in_file: bool) -> bytes:
    """Make the packet of a POST without anything but its body."""
    size = len(request_id)
    return _REQUEST.pack(SCORE_PLAIN, in_file, size, 0, number) + request_id + body


def pack_meta(
    method: str, target: str, content_type: str, address: str, headers: HeaderList
) -> bytes:
    """Encode what only some scripts need to know of a request."""
    return orjson.dumps((method, target, content_type, address, headers))


@dataclass(slots=True)
class Control:
    """A packet that is not a request to score."""

    kind: int
    body: bytes
    files: list[int]


class RequestReader:
    """The worker's end of the requests socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray(LARGEST_PACKET + 4096)
        self._buffers = [self._buffer]
        self._ancillary = socket.CMSG_SPACE(16 * 4)

    def next(self) -> tuple[int, bytes, ScoringRequest] | Control | None:
        """Begin the next packet: number, id and request; None when the front has closed its end.

        Raises
        ------
        FrameError
            The packet is larger than packets are.
        """
        buffer = self._buffer
        size, ancillary, flags, _ = self._socket.recvmsg_into(self._buffers, self._ancillary)
        if not size:
            return None
        if flags & _CUT:
            raise FrameError(f"a request packet of over {LARGEST_PACKET} bytes was cut")
        kind, in_file, id_size, meta_size, number = _REQUEST.unpack_from(buffer)
        start = REQUEST_PREFIX + id_size
        body = bytes(buffer[start + meta_size : size])  # half the time of a slice of a view
        if kind not in (SCORE_PLAIN, SCORE_FULL):
            return Control(kind, body, received_files(ancillary))
        request_id = bytes(buffer[REQUEST_PREFIX:start])
        if in_file:
            body = read_memory_file(received_files(ancillary)[0])
        if kind == SCORE_PLAIN:
            return number, request_id, ScoringRequest(body)
        method, target, content_type, address, headers = orjson.loads(
            buffer[start : start + meta_size]
        )
        pairs = [(name, value) for name, value in headers]
        return (
            number,
            request_id,
            ScoringRequest.full(method, target, pairs, content_type, body, address),
        )


def request_number(packet: bytes) -> int:
    """The number of a request that was taken back; 0 for a packet that is not a request."""
    kind, _in_file, _id_size, _meta_size, number = _REQUEST.unpack_from(packet)
    return int(number) if kind in (SCORE_PLAIN, SCORE_FULL) else 0


def received_files(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The file descriptors that came with a packet."""
    files: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            count = len(data) // 4
            files += struct.unpack(f"{count}i", data[: count * 4])
    return files


def read_memory_file(descriptor: int) -> bytes:
    """Read a whole memory file and close it."""
    try:
        size = os.fstat(descriptor).st_size
        body = os.pread(descriptor, size, 0)
        while len(body) < size:  # one pread stops at 2 GiB
            body += os.pread(descriptor, size - len(body), len(body))
        return body
    finally:
        os.close(descriptor)


# -- answers: worker to front -----------------------------------------------------------------

ANSWER: Final = 1
FAILURE: Final = 2
STREAM_BEGIN: Final = 3
STREAM_CHUNK: Final = 4
STREAM_END: Final = 5
STAGE: Final = 6
READY: Final = 7
FAILED: Final = 8
FORKED: Final = 9
CHILD_ENDED: Final = 10

_ANSWER = struct.Struct("<BBHIQQQ")  # kind, flags, status, meta, body, number, run_ns
ANSWER_PREFIX: Final = _ANSWER.size
RUN_FUNCTION_FAILED: Final = 1
OWN_RESPONSE: Final = 2
RUN_RETURNED: Final = 4
INTERRUPTED: Final = 8

_PLAIN_OK: Final = RUN_RETURNED
LARGE: Final = 1 << 20
"""Frames from this size (bytes) are put together in place, one read at a time: to copy 100 MB
in one go would make the front deaf for a third of a second."""


class AnswerFrame(NamedTuple):
    """One frame from a worker, its parts not yet interpreted.

    The body of a large answer or chunk is a memoryview, which can be written and measured as
    bytes can.
    """

    kind: int
    flags: int
    status: int
    number: int
    run_ns: int
    meta: bytes
    body: bytes

    def read_meta(self) -> Any:
        """Decode the frame's JSON part."""
        return orjson.loads(self.meta) if self.meta else None


def pack_frame(
    kind: int,
    number: int = 0,
    body: bytes = b"",
    *,
    meta: bytes = b"",
    flags: int = 0,
    status: int = 200,
    run_ns: int = 0,
) -> bytes:
    """Make one frame of the answers stream."""
    prefix = _ANSWER.pack(kind, flags, status, len(meta), len(body), number, run_ns)
    return b"".join((prefix, meta, body))


def pack_outcome(number: int, outcome: Outcome) -> bytes:
    """Make the frame of a complete result."""
    if type(outcome) is Answer:
        body = outcome.body
        return _ANSWER.pack(ANSWER, _PLAIN_OK, 200, 0, len(body), number, outcome.run_ns) + body
    if isinstance(outcome, OwnAnswer):
        return pack_frame(
            ANSWER,
            number,
            outcome.body,
            meta=orjson.dumps((outcome.content_type, outcome.headers)),
            flags=_flags(outcome),
            status=outcome.status,
            run_ns=outcome.run_ns,
        )
    assert isinstance(outcome, Failure)  # noqa: S101 - the type checker's, not the user's
    return pack_frame(
        FAILURE,
        number,
        meta=orjson.dumps(
            (outcome.stage, outcome.error_type, outcome.message, outcome.log, outcome.detail),
            default=repr,
            option=orjson.OPT_NON_STR_KEYS,
        ),
        flags=0 if outcome.run_ns is None else RUN_RETURNED,
        status=outcome.status,
        run_ns=outcome.run_ns or 0,
    )


def pack_stream_begin(number: int, stream: Stream) -> bytes:
    """Make the frame that opens a streamed result."""
    return pack_frame(
        STREAM_BEGIN,
        number,
        meta=orjson.dumps((stream.content_type, stream.headers)),
        flags=_flags(stream),
        status=stream.status,
        run_ns=stream.run_ns,
    )


def _flags(outcome: Answer | Stream) -> int:
    return (
        RUN_RETURNED
        | (RUN_FUNCTION_FAILED if outcome.run_function_failed else 0)
        | (OWN_RESPONSE if outcome.own_response else 0)
    )


class AnswerReader:
    """Cuts the answers stream into frames, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._large: memoryview | None = None
        self._filled = 0

    def feed(self, data: bytes) -> list[AnswerFrame]:
        """Take bytes as they were read; return the frames they complete."""
        if self._large is not None:
            return self._fill(self._large, data)
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < ANSWER_PREFIX or len(rest) < self._needed(rest):
                self._make_room()
                return []
            data = bytes(rest)
            rest.clear()
        frames = []
        position, end = 0, len(data)
        while end - position >= ANSWER_PREFIX:
            kind, flags, status, meta_size, size, number, run_ns = _ANSWER.unpack_from(
                data, position
            )
            middle = position + ANSWER_PREFIX + meta_size
            last = middle + size
            if last > end:
                break
            meta = data[position + ANSWER_PREFIX : middle] if meta_size else b""
            fields = (kind, flags, status, number, run_ns, meta, data[middle:last])
            frames.append(tuple.__new__(AnswerFrame, fields))  # a fifth of its own constructor
            position = last
        if position < end:
            rest += data[position:]
            self._make_room()
        return frames

    def _make_room(self) -> None:
        """Take room for the whole of a large frame when its prefix is there."""
        rest = self._rest
        if len(rest) < ANSWER_PREFIX or self._needed(rest) < LARGE:
            return
        # Not a bytearray: that would write zeros to all of it, here and now.
        self._large = memoryview(mmap.mmap(-1, self._needed(rest)))
        self._large[: len(rest)] = rest
        self._filled = len(rest)
        rest.clear()

    def _fill(self, large: memoryview, data: bytes) -> list[AnswerFrame]:
        space = len(large) - self._filled
        part = data if len(data) <= space else data[:space]
        large[self._filled : self._filled + len(part)] = part
        self._filled += len(part)
        if self._filled < len(large):
            return []
        self._large = None
        return [_cut_large(large), *self.feed(data[space:])]

    @staticmethod
    def _needed(buffer: bytearray) -> int:
        fields = _ANSWER.unpack_from(buffer)
        return int(ANSWER_PREFIX + fields[3] + fields[4])


def _cut_large(frame: memoryview) -> AnswerFrame:
    kind, flags, status, meta_size, _size, number, run_ns = _ANSWER.unpack_from(frame)
    middle = ANSWER_PREFIX + meta_size
    meta, body = bytes(frame[ANSWER_PREFIX:middle]), frame[middle:]
    whole = cast("bytes", body) if kind in (ANSWER, STREAM_CHUNK) else bytes(body)
    return AnswerFrame(kind, flags, status, number, run_ns, meta, whole)


# -- shared state -----------------------------------------------------------------------------

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
        """Worker: nothing is inside."""
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
        """Unmap."""
        self.words.release()
        self._map.close()
