"""The container's last words: its termination message, kept current while memory runs short.

Some clusters kill every process of a container that is out of memory at once; nobody is left then
to write down why. So whenever most of the memory is in use, or it is being used up fast, the
message says so beforehand, with the request inside; when there is enough again, it says what it
said before. Where only the worker is killed, its explained end is the message.

What it cannot do: a request that fills most of the memory in less than :data:`INTERVAL` is killed
before it is noticed, and the message is the one from before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scorehost.diagnosis.cgroup import MemoryGauge, read_limits

USUAL_PLACE: Final = Path("/dev/termination-log")
"""Where Kubernetes looks unless told otherwise."""

INTERVAL: Final = 0.1
"""Seconds between two looks, each of about a hundredth of a millisecond."""

SHORT: Final = 0.8
"""The share of the limit from which memory is short."""

FAST: Final = 0.1
"""The share of the limit which, taken between two looks, is fast."""


class TerminationMessage:
    """The message of one container.

    Parameters
    ----------
    path : where the message goes; None for the usual place, if that exists.
    inside : says which requests are inside, in words; "" for none.
    limit : the container's memory in bytes; None when it has no limit.
    gauge : how much of it is in use.
    """

    def __init__(
        self,
        path: Path | None,
        inside: Callable[[], str],
        *,
        limit: int | None,
        gauge: MemoryGauge,
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
        """Look at the memory once; call it every :data:`INTERVAL`."""
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
        """Say how a worker ended; that stays until another ends."""
        self._lasting = text
        self._write(text)

    def _warning(self, used: int) -> str:
        from scorehost.diagnosis.deaths import bytes_text  # not at every start: it knows much

        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        inside = self._inside()
        now = (
            f"{moment}: {bytes_text(used)} of the container's memory of "
            f"{bytes_text(self._limit or 0)} are in use"
            f"{f' while {inside} is inside' if inside else ''}. If nothing follows, the container "
            "was killed as a whole because it was out of memory.\n"
        )
        return now + (f"Before that: {self._lasting}\n" if self._lasting else "")

    def _write(self, text: str) -> None:
        from scorehost.diagnosis.report import write_termination_message  # likewise

        write_termination_message(text, self._path)


def termination_message(path: Path | None, inside: Callable[[], str]) -> TerminationMessage:
    """Those of this container."""
    return TerminationMessage(path, inside, limit=read_limits().memory_bytes, gauge=MemoryGauge())
