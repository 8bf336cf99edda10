"""One thread for slow work, so that nothing blocks the event loop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Runs one piece of work at a time; ``from_thread`` takes results to the event loop."""

    def __init__(self, from_thread: Callable[..., None]) -> None:
        self._from_thread = from_thread
        self._executor: ThreadPoolExecutor | None = None

    def do(self, work: Callable[..., T], *args: Any, then: Callable[[Future[T]], object]) -> None:
        """Call ``work`` on the thread, and ``then`` on the event loop with its future."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="scorehost-aside")
        future = self._executor.submit(work, *args)
        future.add_done_callback(lambda done: self._from_thread(then, done))

    def close(self) -> None:
        """Let go of the thread; work that has not begun is dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
