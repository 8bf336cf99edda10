"""Which files a running script is made of, and when one of them changes.

A thread looks at the time, size and identity of every file a few times a second. Events from the
kernel would cost less, but miss what people do: a link or a ConfigMap whose target is swapped, a
mount whose other side sends no events, a folder that comes later or may not be read, an exhausted
limit of watches (docs/decisions/watching-files.md). Saves that come close together are one change;
files that editors write beside a file, and Python's caches, do not count. Not seen are packages
outside the app root, and data that the script opens by a path of its own.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

from scorehost.config_file import FILE_NAME
from scorehost.model_path import MODELS_FOLDER
from scorehost.settings import Settings

LOOK_EVERY: Final = 0.25
"""Seconds between two looks, as long as one look takes no more than a tenth of that."""
BUSY: Final = 0.1
"""The share of one processor that looking may take; more files are looked at less often."""
QUIET: Final = 0.05
"""Seconds without a change after which a burst of saves is over."""
LONGEST_BURST: Final = 0.4

Mark: TypeAlias = tuple[int, int, int]
"""What tells two states of a file apart: time of change (ns), size in bytes, inode."""

_NOT_LOOKED_INTO: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
_TEMPORARY: Final = re.compile(
    r"\..*|#.*#|.*~|.*\.(sw[a-z]|swpx|tmp|temp|bak|orig|part|crdownload|lock|pyc|pyo)"
    r"|4913|.*___jb_(tmp|old)___|sed\w{6}"
)
"""What vim, emacs, nano, kate, JetBrains' editors and sed leave beside a file for a moment."""


class Watched:
    """The files and folders that belong to a script, including those that may come later.

    Parameters
    ----------
    settings : script, app root, model folder, config file.

    Attributes
    ----------
    config_files : each path where a config file may be.
    """

    def __init__(self, settings: Settings) -> None:
        self._code = _outermost([settings.script.parent, settings.root])
        self._models = [settings.root.absolute() / MODELS_FOLDER]
        if settings.model_dir is not None:
            self._models.append(settings.model_dir.absolute())
        folders = dict.fromkeys((settings.root, settings.script.parent))
        named = settings.config_file
        places = [named] if named is not None else [each / FILE_NAME for each in folders]
        self.config_files = [file.absolute() for file in places]

    def folders(self) -> list[Path]:
        """Every existing folder to watch, each once."""
        return [each for each in _outermost([*self._code, *self._models]) if os.path.isdir(each)]  # noqa: PTH112 - raises nothing

    def snapshot(self) -> dict[str, Mark]:
        """Time, size and identity of every file that matters, by its path.

        Those are all files in model folders, and Python files elsewhere. Links are followed, but no
        folder is looked into twice, because links may lead in circles. Files that are just being
        replaced or may not be read are left out.
        """
        found: dict[str, Mark] = {}
        seen: set[tuple[int, int]] = set()
        models = {str(each) for each in self._models}
        links: deque[tuple[str, bool]] = deque()
        for top in self.folders():
            # A folder is seen under its own name rather than that of a link to it.
            links.append((str(top), str(top) in models))
            while links:
                self._scan(*links.popleft(), models, seen, links, found)
        for file in self.config_files:
            _note(str(file), found)
        return found

    def _scan(
        self,
        top: str,
        everything: bool,
        models: set[str],
        seen: set[tuple[int, int]],
        links: deque[tuple[str, bool]],
        found: dict[str, Mark],
    ) -> None:
        """Look into a folder and all below it; links to folders wait until the rest is done."""
        folders = [(top, everything)]
        while folders:
            folder, everything = folders.pop()
            try:
                here = os.stat(folder)  # noqa: PTH116 - thousands of paths, as text
                entries = list(os.scandir(folder))
            except OSError:
                continue
            is_environment = folder != top and any(each.name == "pyvenv.cfg" for each in entries)
            if is_environment or (here.st_dev, here.st_ino) in seen:
                continue
            seen.add((here.st_dev, here.st_ino))
            for entry in entries:
                name = entry.name
                if _TEMPORARY.fullmatch(name):
                    continue
                if _is_folder(entry):
                    if name not in _NOT_LOOKED_INTO:
                        queue = links if entry.is_symlink() else folders
                        queue.append((entry.path, everything or entry.path in models))
                elif everything or name.endswith(".py"):
                    _note(entry.path, found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or to where this user may not look
        return False


def _note(path: str, found: dict[str, Mark]) -> None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - likewise
    except OSError:
        return
    found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)


class Watcher:
    """Looks for changes, on a thread of its own.

    Parameters
    ----------
    watched : what belongs to the script.
    changed : called on the thread with the files of each change.
    failed : called on the thread with a sentence about a failed look; the next one may succeed.
    """

    def __init__(
        self, watched: Watched, changed: Callable[[list[Path]], None], failed: Callable[[str], None]
    ) -> None:
        self._watched, self._changed, self._failed = watched, changed, failed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scorehost-reload", daemon=True)

    def start(self) -> None:
        """Begin to look; earlier changes do not count."""
        self._before = self._watched.snapshot()
        self._thread.start()

    def stop(self) -> None:
        """Stop before the next look."""
        self._stopped.set()

    def _run(self) -> None:
        pause = LOOK_EVERY
        while not self._stopped.wait(pause):
            began = time.monotonic()
            try:
                self._look()
            except Exception as error:
                self._failed(f"live reload could not check the files for changes: {error!r}")
            pause = max(LOOK_EVERY, (time.monotonic() - began) / BUSY)

    def _look(self) -> None:
        now = self._watched.snapshot()
        if now == self._before:
            return
        now = self._after_the_burst(now)
        changed = {path for path, _ in self._before.items() ^ now.items()}
        self._before = now
        if not self._stopped.is_set():
            self._changed([Path(path) for path in sorted(changed)])

    def _after_the_burst(self, now: dict[str, Mark]) -> dict[str, Mark]:
        until = time.monotonic() + LONGEST_BURST
        while time.monotonic() < until and not self._stopped.wait(QUIET):
            later = self._watched.snapshot()
            if later == now:
                break
            now = later
        return now


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Each folder once, without those that lie in another."""
    found: list[Path] = []
    for folder in sorted({each.absolute() for each in folders}):
        if not any(folder.is_relative_to(other) for other in found):
            found.append(folder)
    return found
