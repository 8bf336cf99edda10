"""A result that is made while it is sent: the items of a generator, as chunks.

The first chunk is made before anything is sent, so that what fails at once is an ordinary
error with its status. After that an error can only break the stream off.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from scorehost.errors import ResultNotEncodable, RunFailed
from scorehost.scoring.interrupted import Interrupted, was_interrupted
from scorehost.wire.messages import Stream

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Chunks: TypeAlias = "Generator[bytes, None, None]"

_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_LINES: Final = "application/x-ndjson"


def stream(items: Generator[Any, Any, Any], encode: Callable[[Any], bytes], run_ns: int) -> Stream:
    """Stream the items of a generator: text and bytes as they are, others as JSON lines.

    The first item decides what Content-Type the whole has.

    Parameters
    ----------
    items : what ``run()`` returned.
    encode : makes JSON of an item.
    run_ns : what the call of ``run()`` took; the time to the first chunk is added.
    """
    content_types: list[str] = []

    def chunks() -> Chunks:
        try:
            for item in items:
                if not content_types:
                    content_types.append(_content_type(item))
                yield _chunk(item, encode)
        finally:
            items.close()

    started = perf_counter_ns()
    begun = begin(chunks())
    run_ns += perf_counter_ns() - started
    return Stream(begun, content_type=(content_types or [_LINES])[0], run_ns=run_ns)


def begin(chunks: Chunks) -> Chunks:
    """Make the first chunk now, and hand on all of them.

    What the script raises comes out as :class:`RunFailed`, now or from a later chunk.
    """
    guarded = _guarded(chunks)
    first = next(guarded, b"")
    return _handed_on(first, guarded)


def _handed_on(first: bytes, others: Chunks) -> Chunks:
    try:
        if first:
            yield first
        yield from others
    finally:
        others.close()


def _guarded(chunks: Chunks) -> Chunks:
    try:
        for chunk in chunks:
            if chunk:  # an empty HTTP chunk would end the response
                yield chunk
    except (Interrupted, GeneratorExit, ResultNotEncodable):
        raise
    except BaseException as error:
        if was_interrupted(error):
            raise Interrupted from error
        raise RunFailed(f"The stream raised {type(error).__name__}.") from error
    finally:
        chunks.close()


def _content_type(item: Any) -> str:
    if isinstance(item, str):
        return _TEXT
    return _BYTES if isinstance(item, (bytes, bytearray, memoryview)) else _LINES


def _chunk(item: Any, encode: Callable[[Any], bytes]) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "replace")
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    return encode(item) + b"\n"
