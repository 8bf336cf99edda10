"""What debug mode tells about a failure besides the user's frames: a hint, and every frame.

The frames of libraries, of Python and ours are marked as such; a client sees them only when it
asks for them. All of this is made in the worker, which has the traceback, and only in debug mode.
"""

from __future__ import annotations

import contextlib
import linecache
from pathlib import Path
from typing import Any, Final

from scorehost.diagnosis.case import Case, own_error
from scorehost.diagnosis.frames import kind_of, short_library_path, shown_path, user_frames, walk
from scorehost.diagnosis.hints import known_hint
from scorehost.older_python import without_prefix

_PACKAGE: Final = f"{Path(__file__).parents[2]}/"
_MOST_FRAMES: Final = 100
_LONGEST_LINE: Final = 400
_BY_STAGE: Final = {
    "decode": "run() does not accept this request. GET /docs shows one that works.",
    "validate": "A value does not match its declaration. GET /docs shows a request that works.",
    "run": "run() failed in the last of these frames.",
    "encode": "Return values that JSON can hold: numbers, text, lists, dicts, arrays, data frames.",
}

GENERAL: Final = frozenset(["", *_BY_STAGE.values()])
"""Hints that say no more than the stage does."""


def explain(error: BaseException, stage: str, script: Path, app_root: Path) -> dict[str, Any]:
    """Make the members that debug mode adds to a failure's detail; never raises.

    Parameters
    ----------
    error : what was raised.
    stage : "decode", "validate", "run" or "encode".
    script, app_root : for the rules, and for short paths.
    """
    hint, frames = _BY_STAGE.get(stage, ""), []
    with contextlib.suppress(Exception):
        frames = all_frames(error, app_root)
    with contextlib.suppress(Exception):
        shown = own_error(error)
        case = Case(shown, stage, script, app_root, user_frames(shown, app_root))
        hint = known_hint(case) or hint
    return {"hint": hint, "all_frames": frames}


def all_frames(error: BaseException, app_root: Path) -> list[dict[str, Any]]:
    """List every frame, outermost first, each with its owner."""
    places = list(walk(error.__traceback__))
    if len(places) > _MOST_FRAMES:  # of a recursion, show the beginning and the end
        places = places[: _MOST_FRAMES // 2] + places[-_MOST_FRAMES // 2 :]
    frames = []
    for place in places:
        kind = kind_of(place.file)
        user = kind == "user"
        frames.append(
            {
                "file": shown_path(place.file, app_root) if user else _library(place.file),
                "line": place.line,
                "function": "" if place.function == "<module>" else place.function,
                "code": linecache.getline(place.file, place.line).strip()[:_LONGEST_LINE],
                "whose": _whose(place.file, kind),
            }
        )
    return frames


def _whose(file: str, kind: str) -> str:
    """Name the owner; code without a file was made by exec(), or is a frozen module of Python's."""
    if file.startswith("<") and not file.startswith("<frozen"):
        return "exec"
    if kind == "hidden" and file.startswith(_PACKAGE):
        return "scorehost"
    return "Python" if kind in ("hidden", "standard") else kind


def _library(file: str) -> str:
    return without_prefix(file, _PACKAGE) if file.startswith(_PACKAGE) else short_library_path(file)
