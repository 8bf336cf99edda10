"""The container's termination message, kept current while memory runs short.

Some clusters kill all processes of a container that is out of memory at once, and none is left to
write down why. So whenever most of the memory is in use, or it is being used up fast, the message
says so beforehand and names the request inside; when there is enough again, it goes back to what
it said before. Where only the worker is killed, its explained end is the message.

Its limit: when a request fills most of the memory in less than :data:`INTERVAL`, the container is
killed before that is noticed, and the message is still the previous one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scorehost.diagnosis.cgroup import MemoryGauge
from scorehost.values import bytes_text

USUAL_PLACE: Final = Path("/dev/termination-log")
"""Where Kubernetes looks unless configured otherwise."""
INTERVAL: Final = 0.1
"""Seconds between two looks, each of which takes about a hundredth of a millisecond."""
SHORT: Final = 0.8
"""The share of the limit above which memory is short."""
FAST: Final = 0.1
"""Memory is used up fast if more than this share of the limit is taken between two looks."""


class TerminationMessage:
    """The message of one container.

    Parameters
    ----------
    path : where the message goes; None for the usual place, if that exists.
    inside : returns the requests that are being scored, in words; "" for none.
    limit : the container's memory in bytes; None when it has no limit.
    gauge : tells how much of it is in use.
    """

    def __init__(
        self, path: Path | None, inside: Callable[[], str], *, limit: int | None, gauge: MemoryGauge
    ) -> None:
        self._path, self._inside, self._limit, self._gauge = path, inside, limit, gauge
        self._before = gauge.used() or 0
        self._lasting = ""
        self._warned = False

    @property
    def needed(self) -> bool:
        """Whether there is a limit to run into, and a place for a message."""
        return self._limit is not None and (self._path is not None or USUAL_PLACE.exists())

    def look(self) -> None:
        """Check the memory once; to be called every :data:`INTERVAL`."""
        used = self._gauge.used()
        if used is None or self._limit is None:
            return
        leap = used - self._before > FAST * self._limit
        self._before = used
        if leap or used > SHORT * self._limit:
            used -= self._gauge.reclaimable()
        short = leap or used > SHORT * self._limit
        if short:
            self._write(self._warning(used))
        elif self._warned:
            self._write(self._lasting)
        self._warned = short

    def died(self, text: str) -> None:
        """Say how a worker ended; that stays the message until another one ends."""
        self._lasting = text
        self._write(text)

    def _warning(self, used: int) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        inside = self._inside()
        now = (
            f"{moment}: {bytes_text(used)} of the container's {bytes_text(self._limit or 0)} of "
            f"memory is in use{f' while handling {inside}' if inside else ''}. If nothing follows, "
            "the whole container was killed because it ran out of memory.\n"
        )
        return now + (f"Before that: {self._lasting}\n" if self._lasting else "")

    def _write(self, text: str) -> None:
        from scorehost.diagnosis.report import write_termination_message  # imports much

        write_termination_message(text, self._path)
