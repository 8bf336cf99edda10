"""How many bytes of bodies, and of answers, may be held at once, over all connections."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Protocol

from scorehost.errors import Overloaded, RequestError
from scorehost.front.descriptors import spare_descriptors
from scorehost.front.http.body import memory_file
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.progress import PATIENCE, Progress
from scorehost.wire.requests import MEMORY_FILE_FROM

SMALL_BODY: Final = 64 << 10
"""Bytes; an eighth of the limit is kept for bodies up to this size."""


class Sender(Protocol):
    """Whose body is arriving, or waits behind the answer to a request before it."""

    def give_way(self, error: RequestError) -> None:
        """Let go of its bodies, and refuse their requests."""


class Reader(Protocol):
    """Who is taking an answer."""

    def untaken(self) -> int:
        """Return the bytes that are still held for it."""

    def reset(self) -> None: ...


class ByteBudget:
    """Counts the bytes of bodies as they arrive, and makes room for more, or refuses them.

    What a request announces is not counted. A body that is whole is kept until its request is
    answered. One that is still arriving may have to give way (``progress.py``).

    Parameters
    ----------
    limit : bytes that all bodies together may hold (SCOREHOST_MAX_QUEUE_BYTES).
    retry_after : tells after how many seconds a refused client should try again.
    now : tells the time, in seconds.

    Attributes
    ----------
    held : bytes that are held now.
    """

    def __init__(
        self, limit: int, retry_after: Callable[[], float], now: Callable[[], float]
    ) -> None:
        self._limit = limit
        self._retry_after = retry_after
        self._arriving: Progress[Sender] = Progress(now)
        self.held = 0

    @property
    def largest(self) -> int:
        """Bytes of the largest body for which there can be room."""
        return max(self._limit_for(SMALL_BODY + 1), min(SMALL_BODY, self._limit))

    def has_room(self, size: int) -> bool:
        """Whether a body of this size may be held, without anyone giving way."""
        return self.held + size <= self._limit

    def hold(self, exchange: Exchange, size: int, sender: Sender | None = None) -> None:
        """Count what there is of a body; its sender gives way to others if need be.

        Parameters
        ----------
        size : bytes of the body that are there now.
        sender : who sends the rest of it; None when it is whole.

        Raises
        ------
        Overloaded
            There is no room for it.
        """
        more = size - exchange.held
        if sender is not None:
            self._arriving.note(sender, size, size)
        while self._is_full(more, size):
            error = self._too_many_bytes(more, size)
            if not self._make_room(sender, error):
                raise error
        self.held += more
        exchange.held = size

    def memory_file(self, sender: Sender) -> int:
        """Make a memory file for an arriving body; return its descriptor.

        Raises
        ------
        Overloaded
            There is none left for bodies.
        OSError
            The system has none.
        """
        while (file := memory_file()) >= spare_descriptors():
            os.close(file)
            error = Overloaded(
                f"No file descriptor is left for another body of {MEMORY_FILE_FROM} bytes or more. "
                "Try again later, or raise the limit on open files (ulimit -n).",
                self._retry_after(),
            )
            if not self._make_room(sender, error):
                raise error
        return file

    def no_room(self, error: OSError) -> Overloaded:
        """Return the refusal of a body for which the system has no memory file."""
        problem = f"No memory is available for another request body: {error}."
        return Overloaded(problem, self._retry_after())

    def waits(self, sender: Sender, size: int) -> None:
        """Note that a body is whole, but waits behind an answer that its sender has to take."""
        self._arriving.note(sender, size, size)

    def settled(self, sender: Sender) -> None:
        """Note that a sender's bodies are with the server, or given up: none has to give way."""
        self._arriving.forget(sender)

    def release(self, exchange: Exchange) -> None:
        """Let go of a body, and of its memory file."""
        self.held -= exchange.held
        exchange.held = 0
        exchange.release()

    def _is_full(self, more: int, size: int) -> bool:
        return bool(self.held) and self.held + more > self._limit_for(size)

    def _limit_for(self, size: int) -> int:
        return self._limit if size <= SMALL_BODY else self._limit - self._limit // 8

    def _make_room(self, sender: Sender | None, error: Overloaded) -> bool:
        """Have an arriving body give way; return False where that is the sender's own."""
        gives_way = self._arriving.next_to_give_way()
        if gives_way is None or gives_way is sender:
            return False
        self._arriving.forget(gives_way)
        text = f"The body was dropped while it was arriving, to make room for others. {error}"
        gives_way.give_way(Overloaded(text, error.retry_after, **error.numbers))
        return True

    def _too_many_bytes(self, more: int, size: int) -> Overloaded:
        limit = self._limit_for(size)
        kept = "" if limit == self._limit else ", of which an eighth is kept for small bodies"
        return Overloaded(
            f"The bodies of the waiting requests would take {self.held + more} bytes; at "
            f"most {limit} are allowed (SCOREHOST_MAX_QUEUE_BYTES{kept}). Try again later.",
            self._retry_after(),
            limit=limit,
            value=self.held + more,
            setting="SCOREHOST_MAX_QUEUE_BYTES",
        )


class UntakenAnswers:
    """Counts the bytes of answers that their clients have not taken yet.

    Parameters
    ----------
    limit : bytes that all of them together may hold (SCOREHOST_MAX_UNTAKEN_BYTES).
    now : tells the time, in seconds.

    Attributes
    ----------
    held : bytes that are held now.
    """

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._readers: Progress[Reader] = Progress(now)
        self._held: dict[Reader, int] = {}
        self.held = 0

    def make_room(self, size: int) -> bool:
        """Cut off clients that stand still until another answer may be held; False if none do.

        An answer that is alone may be larger than the limit.
        """
        while self._held and self.held + size > self._limit:
            if not self.cut_one():
                return False
        return True

    def cut_one(self) -> bool:
        """Cut off the client that has stood still longest; return False if all go on."""
        still = self._readers.standing_still()
        if still is not None:
            self.release(still)
            still.reset()
        return still is not None

    def no_room(self) -> Overloaded:
        """Return the refusal of an answer that does not fit into the budget."""
        limit = self._limit
        return Overloaded(
            f"Answers that clients have not read yet hold {self.held} bytes; at most {limit} are "
            "allowed (SCOREHOST_MAX_UNTAKEN_BYTES). Try again later.",
            PATIENCE,  # then a client that stands still makes room
            limit=limit, value=self.held, setting="SCOREHOST_MAX_UNTAKEN_BYTES",
        )  # fmt: skip

    def hold(self, reader: Reader, size: int) -> None:
        """Count an answer of which ``size`` bytes are held; whoever stands still is cut off."""
        self.release(reader)
        self.grow(reader, size)

    def grow(self, reader: Reader, size: int) -> None:
        """Count an answer that may have become longer; its client has as much time as before."""
        self.held += size - self._held.get(reader, 0)
        self._held[reader] = size
        self._readers.note(reader, 0, size)
        while self.held > self._limit and len(self._held) > 1:
            gives_way = self._readers.next_to_give_way()
            assert gives_way is not None  # noqa: S101 - there are two
            self.release(gives_way)
            gives_way.reset()

    def release(self, reader: Reader) -> None:
        """Forget a client that has taken all of its answer, or has left."""
        size = self._held.pop(reader, None)
        if size is not None:
            self.held -= size
            self._readers.forget(reader)

    def look(self) -> None:
        """Note how far the clients have come; called once a second."""
        for reader, size in self._held.items():
            self._readers.note(reader, size - reader.untaken(), size)
