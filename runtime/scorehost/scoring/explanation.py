"""What debug mode tells of a failure besides the user's frames: a hint, and every frame.

The frames of libraries, of Python and ours are marked as such; a client sees them only when it
asks for them. Made in the worker, which has the traceback; in debug mode only.
"""

from __future__ import annotations

import contextlib
import linecache
from pathlib import Path
from typing import Any, Final

from scorehost.diagnosis.case import Case, own_error
from scorehost.diagnosis.frames import kind_of, short_library_path, shown_path, user_frames, walk
from scorehost.diagnosis.hints import known_hint

_MOST_FRAMES: Final = 100
_LONGEST_LINE: Final = 400
_BY_STAGE: Final = {
    "decode": "The request is not what run() takes. GET /docs shows a request that is.",
    "validate": "A value does not fit its declaration. GET /docs shows a request that does.",
    "run": "The last frame raised this in run().",
    "encode": "Return values that JSON can hold: numbers, text, lists, dicts, arrays, frames.",
}


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
    """List every frame, outermost first, each with whose it is."""
    places = list(walk(error.__traceback__))
    if len(places) > _MOST_FRAMES:  # of a recursion the beginning and the end
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
    """Name the owner; code without a file was made by exec(), or is Python's frozen own."""
    if file.startswith("<") and not file.startswith("<frozen"):
        return "exec"
    if kind == "hidden" and file.startswith(str(Path(__file__).parents[2])):
        return "scorehost"
    return "Python" if kind in ("hidden", "standard") else kind


def _library(file: str) -> str:
    package = str(Path(__file__).parents[2]) + "/"
    return file[len(package) :] if file.startswith(package) else short_library_path(file)
