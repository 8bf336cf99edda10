"""The lines of the user's own code that an error came through.

A frame is the user's when its file is neither ours, nor Python's, nor that of an installed
package. Python's are those of any Python: the server also reads the stacks of scripts that have
another. Where an installed package raised, one line says so (:func:`beneath`); its frames are not
listed.
"""

from __future__ import annotations

import functools
import linecache
import os
import re
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

_PACKAGE = Path(__file__).resolve().parent.parent
_OURS = (str(_PACKAGE), str(_PACKAGE.parent / "azureml_stand_ins"))
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_IMPORT_SYSTEM = frozenset({"importlib", "runpy.py"})
_STANDARD_NAME = re.compile(r"python3\.\d+t?")
"""How a folder is called that holds a standard library, on every POSIX system."""

MOST_FRAMES = 16
"""Frames kept of one error: enough for any honest call path, few enough for recursion."""

LONGEST_LINE = 400
"""Characters shown of one line of source; longer ones are data, not code."""


@dataclass(frozen=True)
class Frame:
    """One place in the user's code.

    Parameters
    ----------
    file : as shown: relative to the app root when inside it. Empty for frames left out.
    line : line number; the number of frames when ``file`` is empty.
    function : name of the function, "" at module level.
    source : numbered lines around, the failing one among them.
    column : where in the line a syntax error begins, counted from 1; 0 when unknown.
    width : how many characters the syntax error covers.
    """

    file: str
    line: int
    function: str = ""
    source: tuple[tuple[int, str], ...] = ()
    column: int = 0
    width: int = 1

    def alone(self) -> Frame:
        """The frame with its own line only."""
        return replace(self, source=tuple(item for item in self.source if item[0] == self.line))


def user_frames(error: BaseException, app_root: Path) -> list[Frame]:
    """List the user's frames of one error, outermost first.

    Only the innermost shows lines around its own. A syntax error adds the place it points at.
    """
    places = [place for place in walk(error.__traceback__) if kind_of(place.file) == "user"]
    points_at = _syntax_place(error, app_root)
    frames = [_frame(place, app_root, around=(0, 0)) for place in _collapsed(places)]
    if points_at is not None:
        return [*frames, points_at]
    if places and frames[-1].file:
        frames[-1] = _frame(places[-1], app_root, around=(2, 1))
    return frames


def beneath(error: BaseException) -> str:
    """Say where an installed package raised, below the user's last frame; else ""."""
    for place in reversed(list(walk(error.__traceback__))):
        kind = kind_of(place.file)
        if kind == "user":
            return ""
        if kind != "hidden":
            return f"raised in {short_library_path(place.file)}, line {place.line}, {place.where}"
    return ""


def our_fault(error: BaseException) -> str:
    """Say where in our own code an error arose that has nothing to do with the user's; else ""."""
    places = list(walk(error.__traceback__))
    if not places or any(kind_of(place.file) == "user" for place in places):
        return ""
    ours = [place for place in places if _inside(os.path.realpath(place.file), str(_PACKAGE))]
    if not ours:
        return ""
    file = os.path.relpath(ours[-1].file, _PACKAGE.parent)
    return f"raised in {file}, line {ours[-1].line}, {ours[-1].where}"


@dataclass(frozen=True)
class Place:
    """One entry of a traceback or of a dumped stack."""

    file: str
    line: int
    function: str

    @property
    def where(self) -> str:
        return "at module level" if self.function in {"", "<module>"} else f"in {self.function}()"


def walk(trace: TracebackType | None) -> Iterator[Place]:
    """Yield every place of a traceback, outermost first, ours included."""
    for frame, line in traceback.walk_tb(trace):
        yield Place(frame.f_code.co_filename, line, frame.f_code.co_name)


@functools.lru_cache(maxsize=1024)
def kind_of(file: str) -> str:
    """Tell whose file this is.

    "user", "library" (installed), "standard" (Python's), or "hidden" (ours, the import system's).
    """
    if file.startswith("<") or not file:
        return "hidden"
    path = os.path.realpath(file)
    if any(_inside(path, place) for place in _OURS):
        return "hidden"
    if _INSTALLED.intersection(Path(path).parts):
        return "library"
    standard = _within_standard(path)
    if not standard:
        return "user"
    return "hidden" if Path(standard).parts[0] in _IMPORT_SYSTEM else "standard"


def frame_at(place: Place, app_root: Path) -> Frame:
    """Make a frame, with lines around it, of a place."""
    return _frame(place, app_root, around=(2, 1))


def shown_path(file: str, app_root: Path) -> str:
    """Shorten a path: relative to the app root when inside it."""
    for root in (str(app_root), os.path.realpath(app_root)):
        if _inside(file, root):
            return os.path.relpath(file, root)
    return file


def short_library_path(file: str) -> str:
    """Shorten the path of an installed or standard module to how it is imported."""
    parts = Path(file).parts
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] in _INSTALLED:
            return "/".join(parts[index + 1 :])
    return _within_standard(os.path.realpath(file)) or file


def format_frames(frames: Sequence[Frame]) -> list[str]:
    """Write frames as lines of text, the failing line marked with ``>``."""
    return [line for frame in frames for line in _format_frame(frame)]


def _format_frame(frame: Frame) -> list[str]:
    """Write one frame: its place, then its numbered lines."""
    if not frame.file:
        return [f"... {frame.line} more frames ..."]
    lines = [f"{frame.file}:{frame.line}" + (f" in {frame.function}()" if frame.function else "")]
    for number, text in frame.source:
        mark = ">" if number == frame.line else " "
        lines.append(f"  {mark} {number:>4}  {text}".rstrip())
        if mark == ">" and 0 < frame.column <= len(text):
            lines.append(" " * 10 + _pointer(text, frame.column, frame.width))
    return lines


def _pointer(text: str, column: int, width: int) -> str:
    before = text[: column - 1]
    lead = "".join("\t" if character == "\t" else " " for character in before)
    return lead + "^" * max(1, min(width, len(text) - column + 1))


def _frame(place: Place, app_root: Path, around: tuple[int, int]) -> Frame:
    if not place.file:
        return Frame("", place.line)
    function = "" if place.function == "<module>" else place.function
    return Frame(
        shown_path(place.file, app_root).encode("utf-8", "backslashreplace").decode(),
        place.line,
        function,
        _source(place.file, place.line, *around),
    )


def _source(file: str, line: int, before: int, after: int) -> tuple[tuple[int, str], ...]:
    linecache.checkcache(file)
    numbers = range(max(1, line - before), line + after + 1)
    found = [(number, linecache.getline(file, number)) for number in numbers]
    lines = [(number, _shown_line(text)) for number, text in found if text]
    while lines and not lines[-1][1].strip() and lines[-1][0] != line:
        lines.pop()
    while lines and not lines[0][1].strip() and lines[0][0] != line:
        lines.pop(0)
    return tuple(lines)


def _shown_line(text: str) -> str:
    text = text.rstrip()
    return text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + " ..."


def _collapsed(places: Sequence[Place]) -> list[Place]:
    """Leave out the middle of a deep call path; ``Place("", n, "")`` stands for n frames.

    Of a recursion only the beginning is kept: where it ends is chance.
    """
    if len(places) <= MOST_FRAMES:
        return list(places)
    recursive = len(set(places[-4 * MOST_FRAMES :])) <= MOST_FRAMES // 2
    head, tail = MOST_FRAMES // 4, 0 if recursive else MOST_FRAMES // 4
    left_out = Place("", len(places) - head - tail, "")
    return [*places[:head], left_out, *places[len(places) - tail :]]


def _syntax_place(error: BaseException, app_root: Path) -> Frame | None:
    if not isinstance(error, SyntaxError) or not error.filename or not error.lineno:
        return None
    source = _source(error.filename, error.lineno, 2, 1)
    if not source:
        text = (error.text or "").rstrip()
        source = ((error.lineno, _shown_line(text)),) if text else ()
    column = max(0, error.offset or 0)
    end = getattr(error, "end_offset", None) or 0
    same_line = getattr(error, "end_lineno", None) == error.lineno
    width = end - column if same_line and end > column else 1
    name = shown_path(error.filename, app_root)
    return Frame(name, error.lineno, "", source, column, width)


def _within_standard(path: str) -> str:
    """Return where in a standard library a file is; "" where it is in none."""
    for folder in _standard_folders():
        if _inside(path, folder):
            return os.path.relpath(path, folder)
    for parent in Path(path).parents:
        if _STANDARD_NAME.fullmatch(parent.name) and (parent / "os.py").is_file():
            return os.path.relpath(path, parent)
    return ""


@functools.lru_cache(maxsize=1)
def _standard_folders() -> tuple[str, ...]:
    """Return the folders of this very interpreter, wherever its standard library is."""
    paths = sysconfig.get_paths()
    found = (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple(dict.fromkeys(os.path.realpath(folder) for folder in found))


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
