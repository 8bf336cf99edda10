"""The event loop of a script whose ``init()`` or ``run()`` is an ``async def``.

One loop for the life of the process, so that what ``init()`` opened is usable in ``run()``. It
turns only while a request (or ``init()``) is inside: a background task makes no progress in
between. asyncio is imported when the first coroutine comes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

_END: Final = object()


class EventLoop:
    """Runs one coroutine at a time, from ordinary code, on a loop that is kept."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    def complete(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end; when it is interrupted, cancel it."""
        loop = self._current()
        task = loop.create_task(coroutine)
        try:
            return loop.run_until_complete(task)
        except BaseException:
            _settle(loop, task)
            raise

    def iterate(self, generator: AsyncGenerator[Any, Any]) -> Generator[Any, None, None]:
        """Turn an asynchronous generator into an ordinary one."""
        try:
            while (item := self.complete(_next(generator))) is not _END:
                yield item
        finally:
            self.complete(_close(generator))

    def close(self) -> None:
        """Close the loop, if there is one."""
        if self._loop is not None and self._process == os.getpid():
            self._loop.close()
        self._loop = None

    def _current(self) -> asyncio.AbstractEventLoop:
        import asyncio

        # A loop's selector must not be shared with the process this one was forked from.
        if self._loop is None or self._process != os.getpid():
            self._loop, self._process = asyncio.new_event_loop(), os.getpid()
            asyncio.set_event_loop(self._loop)
        return self._loop


def _settle(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """End a task whose coroutine did not return."""
    import asyncio

    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            loop.run_until_complete(task)
    elif not task.cancelled():
        task.exception()  # seen: asyncio need not log it


async def _next(generator: AsyncGenerator[Any, Any]) -> Any:
    try:
        return await generator.__anext__()
    except StopAsyncIteration:
        return _END


async def _close(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()
