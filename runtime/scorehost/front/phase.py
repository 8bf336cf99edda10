"""Where a server is in its life."""

from __future__ import annotations

from typing import Final

STARTING: Final = 0
"""No connection is accepted yet."""
SERVING: Final = 1
LEAVING: Final = 2
"""The server is to stop: readiness fails, so that routers notice, and all else continues."""
DRAINING: Final = 3
"""Nothing new is accepted; each connection ends after the answers that it still owes."""
STOPPED: Final = 4
"""The scoring processes are being ended."""


class Phase:
    """The phase. The front moves it on, and never back; everybody else reads ``now``."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = STARTING

    def enter(self, phase: int) -> None:
        self.now = max(self.now, phase)
