"""One failure as the rules for hints see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final

from scorehost.diagnosis.frames import Frame, Place, kind_of, user_frames, walk
from scorehost.errors import EntryScriptError, ScriptUnreadable

_MOST_BEHIND: Final = 100
"""Errors looked at behind one; a group may hold any number of them."""


@dataclass(frozen=True)
class Case:
    """A failed start.

    Parameters
    ----------
    error : the user's exception, or ours when it is what the user has to read.
    stage : how far the script came.
    script : the entry script.
    app_root : the app root.
    frames : the user's frames, outermost first.
    """

    error: BaseException
    stage: str
    script: Path
    app_root: Path
    frames: Sequence[Frame] = ()

    @property
    def message(self) -> str:
        try:
            return str(self.error)
        except Exception:
            return ""

    @property
    def type_name(self) -> str:
        """The name of the exception's class, without its module."""
        return type(self.error).__name__

    @property
    def places(self) -> list[Place]:
        """Every entry of the traceback, outermost first."""
        return list(walk(self.error.__traceback__))

    @property
    def failing_line(self) -> str:
        """The user's line in which it happened."""
        return "\n".join(text for number, text, line in self._source if number == line)

    @property
    def failing_lines(self) -> str:
        """That line and the next, in which a call may continue."""
        return "\n".join(text for number, text, line in self._source if number >= line)

    @property
    def _source(self) -> list[tuple[int, str, int]]:
        """The lines of the innermost frame: number, text and the number of the failing line."""
        return [(*item, frame.line) for frame in self.frames[-1:] for item in frame.source]

    @property
    def from_user_code(self) -> bool:
        """Whether the innermost code that is not hidden is the user's own."""
        kinds = [kind for place in self.places if (kind := kind_of(place.file)) != "hidden"]
        return not kinds or kinds[-1] == "user"

    @property
    def innermost(self) -> FrameType | None:
        """The running frame that raised."""
        trace = self.error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        return None if trace is None else trace.tb_frame

    def passed(self, *endings: str) -> bool:
        """Whether the traceback goes through a file whose path ends like one of these."""
        return any(place.file.endswith(endings) for place in self.places)

    def says(self, *texts: str) -> bool:
        """Whether the message contains one of these texts."""
        return any(text in self.message for text in texts)

    def first_hint(self, hints: Mapping[str, str]) -> str:
        """The hint for the first of these texts that the message contains; "" without one."""
        return next((hint for text, hint in hints.items() if text in self.message), "")

    def folders(self) -> list[Path]:
        """The folders of the user's code: the script's own and the app root."""
        return list(dict.fromkeys([self.script.parent, self.app_root]))

    def chain(self) -> Iterator[Case]:
        """The case itself, then the errors that led to it, nearest first."""
        yield self
        for error, _ in behind(self.error):
            yield replace(self, error=error, frames=user_frames(error, self.app_root))


def cause_of(error: BaseException) -> BaseException | None:
    """The error that led to this one, as Python's tracebacks follow it."""
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The exceptions in a group; in Python 3.10 groups come from a backport of the same shape."""
    try:
        found = getattr(error, "exceptions", ())
    except Exception:  # a property of the user's
        return ()
    if isinstance(found, tuple) and all(isinstance(item, BaseException) for item in found):
        return found
    return ()


def behind(error: BaseException) -> Iterator[tuple[BaseException, bool]]:
    """Yield the errors that led to one, nearest first, each with whether it is a group's member."""
    seen = {id(error)}
    left = _next(error)
    while left and len(seen) <= _MOST_BEHIND:
        following, is_member = left.pop()
        if id(following) not in seen:
            seen.add(id(following))
            yield following, is_member
            left += _next(following)


def _next(error: BaseException) -> list[tuple[BaseException, bool]]:
    """The errors directly behind an error, the nearest last."""
    members = [(member, True) for member in reversed(members_of(error))]
    cause = cause_of(error)
    return members if cause is None else [*members, (cause, False)]


def own_error(error: BaseException) -> BaseException:
    """The user's exception inside one of ours, or the error itself.

    A missing script is reported by us: the exception below that error is not the user's.
    """
    cause = error.__cause__
    if not isinstance(error, EntryScriptError) or cause is None:
        return error
    return error if isinstance(error, ScriptUnreadable) and isinstance(cause, OSError) else cause
