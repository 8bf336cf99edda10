"""One thread for what takes long, so that nothing stops the event loop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
FromThread: TypeAlias = Callable[..., None]
"""Has the event loop call something, from any thread."""


class Background:
    """Does one thing after the other, beside the event loop.

    Parameters
    ----------
    from_thread : brings the results back to the loop.
    """

    def __init__(self, from_thread: FromThread) -> None:
        self._from_thread = from_thread
        self._executor: ThreadPoolExecutor | None = None

    def do(self, work: Callable[..., T], *args: Any, then: Callable[[Future[T]], object]) -> None:
        """Call ``work`` on the thread, and ``then`` on the event loop with what came of it."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="scorehost-aside")
        future = self._executor.submit(work, *args)
        future.add_done_callback(lambda done: self._from_thread(then, done))

    def close(self) -> None:
        """Let go of the thread; what has not begun is left."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
