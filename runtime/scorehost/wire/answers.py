"""Answers on the wire: worker to front.

They travel through a ``SOCK_STREAM`` socket as frames, each with its length first, so that one
read of the front gets all that are there.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, NamedTuple, cast

from scorehost import fast_json
from scorehost.errors import FrameError
from scorehost.wire.messages import Answer, Failure, HeaderList, Outcome, OwnAnswer, Stream

# ANSWER is the lowest kind, so an unknown kind is above all of them, and the hot path (an answer)
# needs no check of its own.
ANSWER: Final = 0
FAILURE: Final = 1
STREAM_BEGIN: Final = 2
STREAM_CHUNK: Final = 3
STREAM_END: Final = 4
STAGE: Final = 5
READY: Final = 6
FAILED: Final = 7
FORKED: Final = 8
CHILD_ENDED: Final = 9
UNREADABLE: Final = 256
"""What the reader returns instead of a frame that cannot be one; no byte can say this."""

_ANSWER = struct.Struct("<BBHIQQQ")  # kind, flags, status, meta, body, number, run_ns
ANSWER_PREFIX: Final = _ANSWER.size
LARGEST_META: Final = 16 << 20
"""Bytes of a frame's JSON part: the headers of a response, or what is told of a failure."""
_LARGEST_BODY: Final = 1 << 40
_LOOKS: Final = 5
"""Seconds without a byte, counted while the front is awake, after which half a frame is given up. A
worker that is short of memory or processor time may need some of them."""
_SHOWN: Final = 32
"""Bytes of an unreadable frame that the log shows."""
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
        """Decode the frame's JSON part.

        Raises
        ------
        FrameError
            It is not JSON.
        """
        return _from_json(self.meta) if self.meta else None

    def read_text(self) -> str:
        """Decode a body that must be text.

        Raises
        ------
        FrameError
            It is not.
        """
        try:
            return self.body.decode()
        except UnicodeDecodeError:
            raise FrameError("sent something that is not text") from None

    def read_object(self, **members: type) -> dict[str, Any]:
        """Decode a body that must be a JSON object with these members.

        Raises
        ------
        FrameError
            It is not.
        """
        document = _from_json(self.body)
        for name, kind in members.items():
            if not isinstance(document, dict) or not isinstance(document.get(name), kind):
                raise FrameError(f"sent something that is not a JSON object with {name!r}")
        return cast("dict[str, Any]", document)

    def refused(self, problem: str) -> AnswerFrame:
        """Return what stands for this frame, as something is wrong with it."""
        sizes = len(self.meta), len(self.body)
        prefix = _ANSWER.pack(self.kind, self.flags, self.status, *sizes, self.number, self.run_ns)
        return unreadable(problem, prefix + self.meta[:_SHOWN] + bytes(self.body[:_SHOWN]))


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
    meta = _failure_meta(outcome)
    flags, run_ns = (0, 0) if outcome.run_ns is None else (RUN_RETURNED, outcome.run_ns)
    return pack_frame(FAILURE, number, meta=meta, flags=flags, status=outcome.status, run_ns=run_ns)


def _failure_meta(failure: Failure) -> bytes:
    """Encode what is told of a failure, and less of it when that is too much for a frame."""
    texts = (failure.stage, failure.error_type, failure.message, failure.log)
    meta = to_json((*texts, failure.detail))
    if len(meta) > LARGEST_META:  # no character takes more than 7 bytes
        meta = to_json((*(text[: LARGEST_META // 64] for text in texts), {}))
    return meta


def unpack_failure(frame: AnswerFrame) -> Failure:
    """Return the failure that a FAILURE frame holds.

    Raises
    ------
    FrameError
        It holds none.
    """
    told = frame.read_meta()
    if not isinstance(told, list) or [type(each) for each in told] != [str, str, str, str, dict]:
        raise FrameError("sent a failure that is incomplete or malformed")
    if not 400 <= frame.status <= 599:
        raise FrameError(f"sent a failure with the status {frame.status}")
    stage, error_type, message, log, detail = told
    run_ns = frame.run_ns if frame.flags & RUN_RETURNED else None
    return Failure(frame.status, stage, message, log, error_type, run_ns, detail)


def pack_stream_begin(number: int, stream: Stream) -> bytes:
    """Make the frame that opens a streamed result."""
    return pack_frame(STREAM_BEGIN, number, **_own_fields(stream))


def pack_stream_end(number: int, failure: str = "", detail: Mapping[str, Any] = {}) -> bytes:
    """Make the frame that ends a streamed result; ``failure`` is what cut it off, if anything."""
    meta = to_json(detail) if detail else b""
    if len(meta) > LARGEST_META:
        meta = b""
    return pack_frame(STREAM_END, number, encodable(failure).encode(), meta=meta)


def unpack_own(frame: AnswerFrame) -> tuple[str, HeaderList]:
    """Return content type and headers of a response that the script has made itself.

    Raises
    ------
    FrameError
        The frame holds none, or not the status of a response.
    """
    meta = frame.read_meta()
    if not 200 <= frame.status <= 599:
        raise FrameError(f"sent a response with the status {frame.status}")
    if not isinstance(meta, list) or [type(each) for each in meta] != [str, list]:
        raise FrameError("sent a response without content type and headers")
    content_type, headers = meta
    for pair in headers:
        if not isinstance(pair, list) or [type(each) for each in pair] != [str, str]:
            raise FrameError("sent a response with a header that is not a pair of strings")
    return content_type, headers


def _own_fields(outcome: OwnAnswer | Stream) -> dict[str, Any]:
    flags = RUN_RETURNED
    flags |= RUN_FUNCTION_FAILED if outcome.run_function_failed else 0
    flags |= OWN_RESPONSE if outcome.own_response else 0
    meta = to_json((outcome.content_type, outcome.headers))
    return {"meta": meta, "flags": flags, "status": outcome.status, "run_ns": outcome.run_ns}


def to_json(value: Any) -> bytes:
    """Encode what may hold anything that a script has made; this cannot fail."""
    try:
        return fast_json.dumps(value, default=_in_words, option=fast_json.OPT_NON_STR_KEYS)
    except TypeError:  # half a character somewhere (in JSON, file names, class names); json: NaN
        return fast_json.dumps(encodable(value))


def encodable(value: Any) -> Any:
    """Return a value as plain text, numbers, lists and dicts that JSON can hold.

    What UTF-8 cannot hold, lone surrogates, is escaped.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {encodable(_key(key)): encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable(each) for each in value]
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    is_plain = value is None or isinstance(value, bool) or _is_short_integer(value)
    return value if is_plain else encodable(_in_words(value))


def _key(key: Any) -> str:
    return key if isinstance(key, str) else _in_words(key)


def _is_short_integer(value: Any) -> bool:
    return isinstance(value, int) and -(1 << 63) <= value < 1 << 63


def _in_words(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # the script's own __repr__
        return f"<{type(value).__name__}>"


def _from_json(data: bytes) -> Any:
    try:
        return fast_json.loads(data)
    except ValueError as error:
        raise FrameError(f"sent something that is not JSON ({error})") from None


def unreadable(problem: str, data: bytes) -> AnswerFrame:
    """Make the frame that stands for bytes which are not a valid frame.

    Parameters
    ----------
    problem : what is wrong, as a verb phrase.
    data : what was read; the first bytes are told.
    """
    more = " …" if len(data) > _SHOWN else ""
    body = f"{problem} ({data[:_SHOWN].hex(' ')}{more})".encode()
    return AnswerFrame(UNREADABLE, 0, 0, 0, 0, b"", body)


class AnswerReader:
    """Cuts the answers stream into frames, whatever pieces it arrives in.

    Whoever has the descriptor can write to it: the script, or a native library by mistake. Bytes
    that cannot be a frame become one of the kind UNREADABLE, whose body says what is wrong, and
    nothing after them is read.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._large: memoryview | None = None
        self._filled = 0
        self._seen = self._looks = 0
        self.is_lost = False
        """Whether the stream cannot be read any further."""

    def stands(self) -> bool:
        """Return whether the rest of a frame does not come; to be called once a second.

        The worker writes a frame without a pause, so a part without the rest is not the worker's.
        """
        begun = self._filled if self._large is not None else len(self._rest)
        self._looks = self._looks + 1 if begun and begun == self._seen else 0
        self._seen = begun
        return self._looks >= _LOOKS

    def give_up(self, problem: str) -> AnswerFrame:
        """Read nothing more; return the frame that says why."""
        start = self._rest if self._large is None else self._large[: self._filled]
        frame = unreadable(problem, bytes(start[: _SHOWN + 1]))
        self.is_lost = True
        self._large = memoryview(b"")
        self._filled = 0
        self._rest.clear()
        return frame

    def feed(self, data: bytes) -> list[AnswerFrame]:
        """Take bytes as they were read; return the frames they complete."""
        if self._large is not None:
            return self._fill(self._large, data)
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < ANSWER_PREFIX or len(rest) < self._needed(rest):
                return self._keep()
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
            frames += self._keep()
        return frames

    def _keep(self) -> list[AnswerFrame]:
        """Keep the beginning of a frame, if it can be one; what it is instead comes back.

        For the whole of a large frame memory is allocated once its prefix is there.
        """
        rest = self._rest
        if rest[0] > CHILD_ENDED:
            return [self.give_up(f"sent a frame of the unknown kind {rest[0]}")]
        if len(rest) < ANSWER_PREFIX:
            return []
        meta_size, size = _ANSWER.unpack_from(rest)[3:5]
        if meta_size > LARGEST_META or size > _LARGEST_BODY:
            return [self.give_up(f"sent a frame of {meta_size} and {size} bytes")]
        needed = ANSWER_PREFIX + meta_size + size
        if needed < LARGE:
            return []
        try:
            # A bytearray would write zeros to all of it, here and now.
            self._large = memoryview(mmap.mmap(-1, needed))
        except (OSError, ValueError, OverflowError):
            return [self.give_up(f"sent a frame of {needed} bytes, which do not fit into memory")]
        self._large[: len(rest)] = rest
        self._filled = len(rest)
        rest.clear()
        return []

    def _fill(self, large: memoryview, data: bytes) -> list[AnswerFrame]:
        if self.is_lost:
            return []
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
