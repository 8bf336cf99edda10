"""Stacks as faulthandler writes them, without the frames that are not the user's business.

Left out: our own frames, the import system's, and whole threads that hold nothing else. Also
read from such a text: the user's frames, with their source, as an exception would have them.
"""

from __future__ import annotations

import re
from pathlib import Path

from scorehost.diagnosis.frames import (
    Frame,
    Place,
    frame_at,
    kind_of,
    short_library_path,
    shown_path,
)

_IDLE = frozenset({"hidden", "standard"})
"""A thread with nothing else in it waits for work, or is ours."""

_FRAME = re.compile(r'^ {2}File "(?P<file>.*)", line (?P<line>\d+|\?\?\?) in (?P<function>.*)$')
_THREAD = re.compile(r"^(Current thread|Thread) 0x[0-9a-fA-F]+")
_NOISE = re.compile(
    r"^(Extension modules: |Timeout \().*$"
    r"|^  Binary file .*(python3|libpython|libc\.so|ld-linux).*$"
    r"|^Current thread's C stack trace.*$|^  <cannot get C stack.*$",
    re.MULTILINE,
)
"""What says nothing of the script: since Python 3.14 also the C functions of Python itself."""


def without_our_frames(stacks: str, app_root: Path) -> str:
    """Rewrite faulthandler's text: short paths, only what is the user's or a library's."""
    blocks = [_rewritten(block, app_root) for block in _blocks(_NOISE.sub("", stacks))]
    return "\n".join(line for block in blocks for line in block)


def frames_of_stacks(stacks: str, app_root: Path) -> list[Frame]:
    """The user's frames of the thread that was running, outermost first, with source."""
    places = [place for place in running_places(stacks) if kind_of(place.file) == "user"]
    frames = [frame_at(place, app_root) for place in places]
    return [*(frame.alone() for frame in reversed(frames[1:])), *frames[:1]]


def running_places(stacks: str) -> list[Place]:
    """Entries of the thread that died or hung, innermost first.

    That is the current thread, or, in a dump that was asked for, the main thread: the last.
    """
    blocks = [block for block in _blocks(stacks) if _THREAD.match(block[0])]
    if not blocks:
        return _places(stacks.splitlines())
    for block in blocks:
        if block[0].startswith("Current thread") and _user_part(block):
            return _places(block)
    with_users = [block for block in blocks if _user_part(block)]
    return _places(with_users[-1] if with_users else blocks[-1])


def _user_part(block: list[str]) -> list[Place]:
    return [place for place in _places(block) if kind_of(place.file) == "user"]


def _places(lines: list[str]) -> list[Place]:
    found = [_FRAME.match(line) for line in lines]
    return [
        Place(match["file"], int(match["line"].replace("???", "0")), match["function"])
        for match in found
        if match is not None
    ]


def _blocks(stacks: str) -> list[list[str]]:
    """Split into threads: each line without indent begins a block."""
    blocks: list[list[str]] = []
    for line in stacks.splitlines():
        if not line.strip():
            continue
        if not blocks or not line.startswith("  "):
            blocks.append([line])
        else:
            blocks[-1].append(line)
    return blocks


def _rewritten(block: list[str], app_root: Path) -> list[str]:
    title, *rest = block
    if not _THREAD.match(title):
        return [title.rstrip(), *(line.rstrip() for line in rest if not _FRAME.match(line))]
    current = title.startswith("Current")
    if not current and all(kind_of(place.file) in _IDLE for place in _places(block)):
        return []
    kept = [line for line in (_rewritten_frame(line, app_root) for line in rest) if line]
    return [_THREAD.sub(r"\1", title).rstrip(), *kept] if kept else []


def _rewritten_frame(line: str, app_root: Path) -> str:
    match = _FRAME.match(line)
    if match is None:
        return line.rstrip()
    kind = kind_of(match["file"])
    if kind == "hidden":
        return ""
    file = match["file"]
    file = shown_path(file, app_root) if kind == "user" else short_library_path(file)
    return f"  {file}:{match['line']} in {match['function']}"
