"""Install packages with pip and set aside only what that changed.

Runs inside a build, in a stage that is discarded::

    python overlay.py FOLDER [pip's arguments…]

It installs into the Python that runs it, and moves every file that is new or different
afterwards to FOLDER, under its own path. The next stage copies FOLDER over its root: one layer
that holds the packages and neither wheels nor pip's traces, nor a second copy of what the base
has. The files that pip removed (those of a version that was replaced) are listed in FOLDER's
``opt/scorehost/replaced``, one path per line, for that stage to remove before it copies.

It needs only the standard library, of Python 3.8 or later, and does not notice what an installation
changes outside Python's own folder.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

REPLACED = Path("opt/scorehost/replaced")
"""The list of removed files, below the root of an image."""

State: TypeAlias = "tuple[int, int, int]"
"""Inode, size and time of change: a changed file differs in one of them."""


def main(arguments: list[str]) -> int:
    """Install the packages and set their files aside; return pip's exit status."""
    folder, *pip_arguments = arguments
    prefix = Path(sys.prefix)
    before = snapshot(prefix)
    # Compiled below, on all processors: pip would use one, and spend most of its time on it.
    command = [sys.executable, "-m", "pip", "install", "--no-compile", *pip_arguments]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # for pip's own modules
    status = subprocess.run(command, env=environ, check=False).returncode
    if status == 0:
        # A file that cannot be compiled is not an error: packages carry examples for other Pythons.
        compileall.compile_dir(prefix, quiet=2, workers=0)
        after = snapshot(prefix)
        set_aside(changed(before, after), Path(folder))
        list_replaced(gone(before, after), Path(folder))
    return status


def snapshot(folder: Path) -> dict[Path, State]:
    """Every file and link below a folder, with its state."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            status = file.lstat()
            found[file] = (status.st_ino, status.st_size, status.st_ctime_ns)
    return found


def changed(before: Mapping[Path, State], after: Mapping[Path, State]) -> list[Path]:
    """The files that are new or different."""
    return sorted(file for file, state in after.items() if before.get(file) != state)


def gone(before: Iterable[Path], after: Iterable[Path]) -> list[Path]:
    """The paths that were removed: a folder of which nothing is left, or else single files."""
    left = set(after)
    kept = {parent for file in left for parent in file.parents}
    lost = set()
    for file in set(before) - left:
        vanished = [parent for parent in file.parents if parent not in kept]
        lost.add(vanished[-1] if vanished else file)
    return sorted(lost)


def set_aside(files: Iterable[Path], folder: Path) -> None:
    """Move files below a folder. Copies would take time, and room in the discarded stage."""
    for file in files:
        target = folder / file.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)


def list_replaced(paths: Iterable[Path], folder: Path) -> None:
    """Write the list of removed paths, even if it is empty."""
    listing = folder / REPLACED
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("".join(f"{path}\n" for path in paths), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
