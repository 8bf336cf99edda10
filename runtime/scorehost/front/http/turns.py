"""Long work in pieces, one in each turn of the event loop.

However many clients ask for such work, a turn of the loop does one piece of it, and everything else
that is ready goes on between two pieces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any


class Turns:
    """The pieces that wait for their turn; ``soon`` calls something at the loop's next turn."""

    def __init__(self, soon: Callable[..., Any]) -> None:
        self._soon = soon
        self._waiting: deque[Callable[[], None]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, piece: Callable[[], None]) -> None:
        """Have a piece done when those that came before are."""
        self._waiting.append(piece)
        if len(self._waiting) == 1:
            self._soon(self._do_one)

    def _do_one(self) -> None:
        piece = self._waiting.popleft()
        if self._waiting:
            self._soon(self._do_one)
        piece()
