"""Who among those that hold memory goes on, and who gives way when there is no room for more.

What a client has sent of a body, and what it has not taken of an answer, is held for it. A client
that goes on will let go of it soon. One that does not may hold it for as long as its time limits
allow, and a few of these could hold all that there is. So when there is no room, the one that has
stood still longest gives way. As long as all go on, the one that began last does: if it were any
other, many that are large would push each other out, and none would ever be finished.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

LEAST: Final = 8 << 10
"""Bytes that count as going on; also the least that a client must send, or take, within
SCOREHOST_BODY_TIMEOUT."""
_SHARE: Final = 16
"""Who holds much must be fast: going on means a sixteenth of what is held."""
PATIENCE: Final = 2.0
"""Seconds without going on after which a holder counts as standing still."""

Holder = TypeVar("Holder")


class _Mark(NamedTuple):
    began: float
    last: float
    next: int


class Progress(Generic[Holder]):
    """How the holders go on; ``now`` tells the time in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._marks: dict[Holder, _Mark] = {}  # those that went on longest ago come first

    def note(self, holder: Holder, done: int, held: int) -> None:
        """Note that a holder has sent or taken ``done`` bytes by now, and holds ``held``."""
        mark = self._marks.get(holder)
        if mark is None or done >= mark.next:
            now = self._now()
            began = now if mark is None else mark.began
            self._marks.pop(holder, None)
            self._marks[holder] = _Mark(began, now, done + max(LEAST, held // _SHARE))

    def forget(self, holder: Holder) -> None:
        self._marks.pop(holder, None)

    def next_to_give_way(self) -> Holder | None:
        """Return who stands still longest, else who began last; None where nobody holds any."""
        still = self.standing_still()
        if still is not None or not self._marks:
            return still
        return max(self._marks, key=lambda each: self._marks[each].began)

    def standing_still(self) -> Holder | None:
        """Return who stands still longest; None where all go on."""
        for holder, mark in self._marks.items():
            return holder if mark.last < self._now() - PATIENCE else None
        return None
