"""Which scoring processes there are, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STARTING: Final = "starting"
READY: Final = "ready"
"""A worker that could score and gets no requests yet, or a loader that can be forked."""
SERVING: Final = "serving"
RETIRING: Final = "retiring"
"""A process that gets nothing more and ends when it has finished what it has begun."""


@dataclass(eq=False, slots=True)
class Member:
    """One scoring process.

    Parameters
    ----------
    index : counts all processes of a server, from 1.
    generation : the reload that it belongs to, from 1.
    is_loader : whether it runs ``init()`` only to be forked.
    state : STARTING, READY, SERVING or RETIRING.
    pid : 0 until it is known.
    started, ready_at : times (seconds, monotonic); 0 for not yet.
    replaces : the worker that retires when this one is ready.
    being_replaced : whether a replacement for this one was started.
    recycle_at : scored requests after which it is replaced; 0 for never.
    fresh_bytes : memory that it held when it became ready.
    share : workers among which the CPUs were divided when it started.
    warms_up : whether it answers the script's own sample before it is ready.
    refusal : why this loader cannot be forked; "" when it can.
    """

    index: int
    generation: int
    is_loader: bool = False
    state: str = STARTING
    pid: int = 0
    started: float = 0.0
    ready_at: float = 0.0
    replaces: Member | None = None
    being_replaced: bool = False
    recycle_at: int = 0
    fresh_bytes: int = 0
    share: int = 0
    warms_up: bool = False
    refusal: str = ""

    def __str__(self) -> str:
        name = "loader" if self.is_loader else f"worker {self.index}"
        return f"{name} (pid {self.pid})"


class Roster:
    """Every process whose end has not been noticed yet."""

    def __init__(self) -> None:
        self.members: list[Member] = []

    def scoring(self, generation: int) -> list[Member]:
        """Return the scoring workers of one generation."""
        return [m for m in self.members if m.generation == generation and not m.is_loader]

    def before(self, generation: int) -> list[Member]:
        """Return the processes of earlier generations."""
        return [each for each in self.members if each.generation < generation]

    def serving(self) -> list[Member]:
        """Return the workers that are given requests."""
        return [each for each in self.members if each.state == SERVING]

    def counted(self, generation: int | None) -> list[Member]:
        """Return the workers that count towards those wanted; replacements do not count twice.

        Parameters
        ----------
        generation : the only one that counts; None for all.
        """
        return [
            each
            for each in self.members
            if each.state != RETIRING
            and not each.is_loader
            and each.replaces is None
            and generation in (None, each.generation)
        ]

    def loader(self, generation: int) -> Member | None:
        """Return the loader from which workers of a generation are forked, if there is one."""
        for each in self.members:
            if each.is_loader and each.state != RETIRING and each.generation == generation:
                return each
        return None

    def idle_loaders(self) -> list[Member]:
        """Return the loaders that can be forked and have no children."""
        return [
            each
            for each in self.members
            if each.is_loader and each.state == READY and not self.scoring(each.generation)
        ]
