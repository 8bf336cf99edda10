"""What a person sees of a script that did not start: one framed report.

It holds the stage, the error, the user's own frames with their source, what was printed last,
the models there are when a path was involved, and a hint. The worker makes one of an exception
and sends it as plain values; the front makes one of a process that died. Making a report never
raises: whatever part cannot be made is left out.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from scorehost import errors
from scorehost.diagnosis import layout
from scorehost.diagnosis.case import Case, behind, own_error
from scorehost.diagnosis.frames import Frame, beneath, format_frames, our_fault, user_frames
from scorehost.diagnosis.stacks import frames_of_stacks, without_our_frames
from scorehost.escaping import harmless

TERMINATION_LIMIT = 4096
"""Bytes of a termination message that Kubernetes keeps."""

DEFAULT_TERMINATION_LOG = Path("/dev/termination-log")

OUR_FAULT = "This is a bug in scorehost, not in the script. Please report it with these lines."

SCORING_STAGES = frozenset({"decode", "validate", "run", "encode"})
"""Stages of a request; all others belong to the start."""

_LONGEST_MESSAGE = 2000
_LONGEST_NAME = 200
_MOST_CAUSES = 3
_MOST_MEMBERS = 12
_MOST_OUTPUT = 20

T = TypeVar("T")


@dataclass
class Cause:
    """An error that led to the one reported.

    Parameters
    ----------
    error_type, message, frames : as of the error reported.
    is_member : it is one of a group of exceptions.
    """

    error_type: str
    message: str
    frames: list[Frame] = field(default_factory=list)
    is_member: bool = False

    @property
    def error(self) -> str:
        return f"{self.error_type}: {self.message}" if self.error_type else self.message


@dataclass
class Report:
    """Why a script did not start.

    Parameters
    ----------
    stage : how far it came: "read", "import", "signature", "model path", "init()".
    error_type : the exception's class; "" when the process died.
    message : what the exception says, or how the process died.
    frames : the user's frames, outermost first.
    hint : what is probably wrong and what to do.
    script : path of the entry script.
    tree : the models or files that exist, when a path was involved.
    stacks : stacks of the process's threads, ours left out, when it died or hung.
    output : what the script wrote last, when the process died.
    beneath : where an installed package raised, below the user's last frame.
    causes : the errors that led to this one, the nearest first.
    reference : what the server's answers name instead of all this; "" where there are none.
    """

    stage: str
    error_type: str
    message: str
    frames: list[Frame] = field(default_factory=list)
    hint: str = ""
    script: str = ""
    tree: str = ""
    stacks: str = ""
    output: str = ""
    beneath: str = ""
    causes: list[Cause] = field(default_factory=list)
    reference: str = ""

    @property
    def error(self) -> str:
        """Type and message in one, as Python prints them; of our own errors the message."""
        if not self.error_type or hasattr(errors, self.error_type):
            return self.message
        return f"{self.error_type}: {self.message}" if self.message else self.error_type

    def text(self, *, ascii_only: bool = False, limit: int | None = None) -> str:
        """Write the framed report for a person.

        Parameters
        ----------
        ascii_only : draw with ASCII; what the script and its errors say keeps its characters.
        limit : the most bytes; frames, stacks and output give way first, the hint never.
        """
        name = Path(self.script).name or "the entry script"
        done = "answer" if self.stage in SCORING_STAGES else "start"
        heading = f"scorehost: {name} did not {done}"
        if self.reference:  # in the first line, which stays however much is left out
            heading += f" (reference {self.reference})"
        return layout.framed(heading, self._sections(), ascii_only=ascii_only, limit=limit)

    def termination_message(self) -> str:
        """Write the report so that it fits a container's termination message."""
        return self.text(ascii_only=True, limit=TERMINATION_LIMIT)

    def to_dict(self) -> dict[str, Any]:
        """The report as values that JSON can encode."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Report:
        """Rebuild what :meth:`to_dict` wrote."""
        values = dict(document)
        values["frames"] = [_frame(item) for item in values.get("frames", [])]
        values["causes"] = [
            Cause(**{**item, "frames": [_frame(frame) for frame in item["frames"]]})
            for item in values.get("causes", [])
        ]
        return cls(**values)

    def _sections(self) -> list[layout.Section]:
        where = format_frames(self.frames) + [self.beneath] * bool(self.beneath)
        return [
            layout.Section("Script", [self.script], firm=True, prose=True),
            layout.Section("Stage", [self.stage], firm=True, prose=True, joined=True),
            layout.Section("Error", [_bounded(self.error)], firm=True, prose=True, joined=True),
            layout.Section("Where", where),
            *(section for cause in self.causes for section in _cause_sections(cause)),
            layout.Section("Files", self.tree.splitlines()),
            layout.Section("Stacks", self.stacks.splitlines()),
            layout.Section("Output", self.output.splitlines()),
            layout.Section("Hint", [self.hint], prose=True, firm=True),
        ]


def report_exception(error: BaseException, *, stage: str, script: Path, app_root: Path) -> Report:
    """Explain an exception that ended the start of a script.

    Parameters
    ----------
    error : what was raised; one of ours stands for the user's exception that caused it.
    stage : how far the script came.
    script : the entry script.
    app_root : the app root, for short paths and for the models below it.
    """
    # Only a process that failed pays for what hints need; the front never does.
    from scorehost.diagnosis.hints import hint_for
    from scorehost.diagnosis.model_files import tree_for

    shown = own_error(error)
    frames = _list(lambda: user_frames(shown, app_root))
    case = Case(shown, stage, script, app_root, frames)
    unread = isinstance(error, errors.ScriptUnreadable)
    # An import of ours that fails is one that the script's environment lacks.
    explained = isinstance(error, (errors.ScorehostError, ImportError))
    fault = "" if explained else _text(lambda: our_fault(error))
    return Report(
        stage=stage,
        error_type=type_name(shown),
        message=message_of(shown),
        frames=frames,
        hint=OUR_FAULT if fault else layout.encodable(hint_for(case)),
        script=layout.encodable(str(script)),
        tree=layout.encodable(_text(lambda: tree_for(case))),
        beneath=fault or _text(lambda: "" if unread else beneath(shown)),
        causes=_list(lambda: [] if unread else _causes(shown, app_root)),
    )


def report_death(
    *,
    stage: str,
    script: Path,
    cause: str,
    hint: str,
    stacks: str = "",
    output: str = "",
    app_root: Path | None = None,
) -> Report:
    """Explain the death of a process that was starting a script.

    Parameters
    ----------
    stage : how far the script came.
    script : the entry script.
    cause : how the process ended, in words.
    hint : what is probably wrong and what to do.
    stacks : what faulthandler wrote, if anything.
    output : the last lines that the process wrote.
    app_root : the app root, for short paths; the script's folder when not given.
    """
    root = app_root or script.parent
    return Report(
        stage=stage,
        error_type="",
        message=cause,
        frames=_list(lambda: frames_of_stacks(stacks, root)),
        hint=hint,
        script=str(script),
        stacks=_text(lambda: without_our_frames(stacks, root)),
        output="\n".join(output.rstrip().splitlines()[-_MOST_OUTPUT:]),
    )


def format_exception(error: BaseException, app_root: Path) -> str:
    """Write an exception for the log: type, message, causes and the user's frames."""
    shown = own_error(error)
    lines = [f"{type_name(shown)}: {message_of(shown)}"]
    lines += _list(lambda: _indented(format_frames(user_frames(shown, app_root))))
    if below := _text(lambda: beneath(shown)):
        lines.append(f"  {below}")
    for cause in _list(lambda: _causes(shown, app_root)):
        lines.append(f"{'inside:' if cause.is_member else 'caused by'} {cause.error}")
        lines += _indented(format_frames(cause.frames))
    return "\n".join(lines)


def write_termination_message(text: str, path: Path | None) -> bool:
    """Write a report where Kubernetes looks for it; never raise.

    Parameters
    ----------
    text : the report; over the limit its middle is left out.
    path : where; None means the usual place, if it is there.

    Returns
    -------
    bool
        Whether it was written.
    """
    target = path or DEFAULT_TERMINATION_LOG
    try:
        if path is None and not target.exists():
            return False
        text = layout.cut_middle(harmless(text), TERMINATION_LIMIT)
        target.write_bytes(text.encode())
    except Exception:
        return False
    return True


def type_name(error: BaseException) -> str:
    """Name an exception's class as Python's own tracebacks do, in one line of bounded length.

    A class may have any name: what cannot be printed is escaped.
    """
    kind = type(error)
    try:
        module, name = str(kind.__module__), str(kind.__qualname__)
    except Exception:  # a metaclass of the user's
        return "an exception without a name"
    if module not in {"builtins", "__main__", errors.__name__}:
        name = f"{module}.{name}"
    return repr(name)[1:-1][:_LONGEST_NAME]


def message_of(error: BaseException) -> str:
    """The message of an exception, even of one whose class fails to give it."""
    if isinstance(error, SyntaxError):
        return str(error.msg)
    if isinstance(error, errors.ModelNotFound):
        return "\n".join([error.summary, *(f"    tried {place}" for place in error.tried)])
    try:
        # The file that a scoring process begins with is ours, and nothing to look for.
        text = str(error).replace(repr(sys.modules["__main__"]), "<module '__main__'>")
        return layout.encodable(text)
    except Exception as failure:
        return f"(its message cannot be read: {type(failure).__name__})"


def _causes(error: BaseException, app_root: Path) -> list[Cause]:
    if isinstance(error, errors.ScorehostError):
        return []
    found = list(behind(error))
    is_group = any(is_member for _, is_member in found)
    most = _MOST_MEMBERS if is_group else _MOST_CAUSES
    causes = [_cause(following, is_member, app_root) for following, is_member in found[:most]]
    if is_group and len(found) > most:
        causes.append(Cause("", "... more exceptions ...", is_member=True))
    return causes


def _cause(error: BaseException, is_member: bool, app_root: Path) -> Cause:
    frames = [frame.alone() for frame in user_frames(error, app_root)]
    return Cause(type_name(error), message_of(error), frames, is_member)


def _cause_sections(cause: Cause) -> list[layout.Section]:
    title = "Inside" if cause.is_member else "Cause"
    return [
        layout.Section(title, [_bounded(cause.error)], prose=True),
        layout.Section("", format_frames(cause.frames), joined=True),
    ]


def _bounded(message: str) -> str:
    return layout.cut_middle(message, _LONGEST_MESSAGE)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _frame(document: Mapping[str, Any]) -> Frame:
    source = tuple((int(number), str(text)) for number, text in document["source"])
    return Frame(**{**document, "source": source})


def _list(make: Callable[[], list[T]]) -> list[T]:
    """Make a part of the report; a report with a part missing is better than none."""
    with contextlib.suppress(Exception):
        return make()
    return []


def _text(make: Callable[[], str]) -> str:
    with contextlib.suppress(Exception):
        return make()
    return ""
