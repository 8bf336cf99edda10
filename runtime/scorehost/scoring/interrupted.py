"""What the worker raises in user code when a request's time is up."""

from __future__ import annotations


class Interrupted(BaseException):
    """The request's time is up; ``except Exception`` lets it pass, and so does all our code."""


def was_interrupted(error: BaseException) -> bool:
    """Tell whether an error came of an interrupt: a library or the script may wrap it."""
    seen: set[int] = set()
    chained: BaseException | None = error
    while chained is not None and id(chained) not in seen:
        if isinstance(chained, Interrupted):
            return True
        seen.add(id(chained))
        chained = chained.__cause__ or chained.__context__
    return False
