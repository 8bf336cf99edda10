"""Answers on the wire: worker to front.

They travel through a ``SOCK_STREAM`` socket as frames, each with its length first, so that one
read of the front gets all that are there.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any, Final, NamedTuple, cast

import orjson

from scorehost.wire.messages import Answer, Failure, Outcome, OwnAnswer, Stream

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

LARGE: Final = 1 << 20
"""Frames from this size (bytes) are put together in place, one read at a time: copying 100 MB
in one go would block the front for a third of a second."""


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
        return _ANSWER.pack(ANSWER, RUN_RETURNED, 200, 0, len(body), number, outcome.run_ns) + body
    if isinstance(outcome, OwnAnswer):
        return pack_frame(ANSWER, number, outcome.body, **_own_fields(outcome))
    assert isinstance(outcome, Failure)  # noqa: S101 - for the type checker
    told = (outcome.stage, outcome.error_type, outcome.message, outcome.log, outcome.detail)
    meta = orjson.dumps(told, default=repr, option=orjson.OPT_NON_STR_KEYS)
    flags, run_ns = (0, 0) if outcome.run_ns is None else (RUN_RETURNED, outcome.run_ns)
    return pack_frame(FAILURE, number, meta=meta, flags=flags, status=outcome.status, run_ns=run_ns)


def unpack_failure(frame: AnswerFrame) -> Failure:
    """Return the failure that a FAILURE frame holds."""
    stage, error_type, message, log, detail = frame.read_meta()
    run_ns = frame.run_ns if frame.flags & RUN_RETURNED else None
    return Failure(frame.status, stage, message, log, error_type, run_ns, detail)


def pack_stream_begin(number: int, stream: Stream) -> bytes:
    """Make the frame that opens a streamed result."""
    return pack_frame(STREAM_BEGIN, number, **_own_fields(stream))


def _own_fields(outcome: OwnAnswer | Stream) -> dict[str, Any]:
    flags = RUN_RETURNED
    flags |= RUN_FUNCTION_FAILED if outcome.run_function_failed else 0
    flags |= OWN_RESPONSE if outcome.own_response else 0
    meta = orjson.dumps((outcome.content_type, outcome.headers))
    return {"meta": meta, "flags": flags, "status": outcome.status, "run_ns": outcome.run_ns}


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
            # This takes a fifth of the time of the class's own constructor.
            frames.append(tuple.__new__(AnswerFrame, fields))
            position = last
        if position < end:
            rest += data[position:]
            self._make_room()
        return frames

    def _make_room(self) -> None:
        """Allocate memory for the whole of a large frame once its prefix is there."""
        rest = self._rest
        if len(rest) < ANSWER_PREFIX or self._needed(rest) < LARGE:
            return
        # A bytearray would write zeros to all of it, here and now.
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
