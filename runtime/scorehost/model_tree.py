"""Draw what is below a folder, with sizes, in a bounded number of lines.

What lies near the top is drawn first, so that one crowded folder does not hide the others.
Links are shown and not followed. The text is plain ASCII apart from the names themselves, and
names that no terminal should get are escaped.
"""

from __future__ import annotations

import errno
import os
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

MOST_READ: Final = 10_000
"""Entries read of one folder; a folder of a million files must not stall a failing start."""


def tree(root: Path, limit: int = 40) -> str:
    """Draw the files and folders below ``root`` in at most ``limit`` lines.

    Parameters
    ----------
    root : the folder; it may be missing, or a file.
    limit : most lines, the one that names the root included.
    """
    top = _Folder(printable(str(root)), root)
    room = limit - 1
    waiting = deque([top])
    while waiting and room > 0:
        folder = waiting.popleft()
        room -= folder.read(min(room, max(8, limit // 3)))
        waiting.extend(folder.folders)
    return "\n".join(top.lines())


def printable(text: str) -> str:
    """Escape what is not printable: control characters, and bytes that are not UTF-8."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def size_text(size: int) -> str:
    """Say a size in bytes the way people do; units are powers of 1024."""
    if size < 1024:
        return f"{size} B"
    amount = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1023.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which ``9`` comes before ``10``, and numbers before words."""
    return [
        (0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold())
        for part in re.split(r"([0-9]+)", name)
        if part
    ]


def reason(error: Exception) -> str:
    """Why a place could not be read, in a few words."""
    if isinstance(error, OSError) and error.errno == errno.ENOTDIR:
        return "not a folder"
    return (isinstance(error, OSError) and error.strerror) or str(error)


class _Folder:
    """One folder of the drawing, and as much of its content as there was room for.

    ``note`` says what the entries do not: that there are more, none, or why they are unknown.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.note = "..."
        self.entries: list[_Folder | str] = []

    @property
    def folders(self) -> list[_Folder]:
        return [entry for entry in self.entries if isinstance(entry, _Folder)]

    def read(self, most: int) -> int:
        """Take up to ``most`` lines' worth of content; return how many it took."""
        try:
            with os.scandir(self.path) as scan:
                found = sorted(islice(scan, MOST_READ), key=lambda one: natural_order(one.name))
        except (OSError, ValueError) as error:
            self.note = f"({reason(error)})"
            return 0
        kept = found if len(found) <= most else found[: most - 1]
        self.entries = [_drawn(entry) for entry in kept]
        self.note = _rest(len(found), len(kept))
        return len(kept) + bool(kept and self.note)

    def lines(self, indent: str = "") -> Iterator[str]:
        """Draw the folder; what is to be said of an empty one stands beside its name."""
        beside = "" if self.entries or not self.note else f"  {self.note}"
        yield f"{indent}{self.name}/{beside}"
        for entry in self.entries:
            if isinstance(entry, str):
                yield f"{indent}  {entry}"
            else:
                yield from entry.lines(indent + "  ")
        if self.note and not beside:
            yield f"{indent}  {self.note}"


def _rest(found: int, kept: int) -> str:
    if not found:
        return "(empty)"
    at_least = "at least " if found == MOST_READ else ""
    return f"... {at_least}{found - kept} more" if found > kept else ""


def _drawn(entry: os.DirEntry[str]) -> _Folder | str:
    """Draw one entry: a folder to go into, or a line."""
    name = printable(entry.name)
    try:
        if entry.is_symlink():
            there = Path(entry.path).exists()
            target = printable(os.readlink(entry.path))
            return f"{name} -> {target}" + ("" if there else "  (does not exist)")
        if entry.is_dir():
            return _Folder(name, Path(entry.path))
        return f"{name}  {size_text(entry.stat().st_size)}"
    except OSError as error:
        return f"{name}  ({reason(error)})"
