"""The event loop's time: now, soon and later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any


class Clock:
    """What most of the front needs of its event loop; tests pass one whose time they control."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now: Callable[[], float] = time.monotonic
        self.soon: Callable[..., Any] = loop.call_soon
        self.later: Callable[..., Any] = loop.call_later
