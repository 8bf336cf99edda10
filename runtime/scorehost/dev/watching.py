"""Which files a running script is made of, and when one of them changes.

A thread waits for the kernel's events (through watchfiles), or looks at every file a few times a
second: where watchfiles is not installed, where events run out, and on mounts that send none, as
bind mounts from another system do. No event tells of the target of a link, of a config file
outside the folders, or of a folder that comes or is replaced: those few are always looked at.
Saves that come close together are one change; what editors write beside a file, and what Python
caches, is none. What it does not see: packages outside the app root, and data that the script
opens by a path of its own.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from scorehost.config_file import FILE_NAME
from scorehost.model_path import MODELS_FOLDER
from scorehost.settings import Settings

QUIET: Final = 0.05
"""Seconds without another event after which a burst of saves is over."""
LONGEST_BURST: Final = 0.4
LOOK_EVERY: Final = 0.25
"""Seconds between two looks: at everything when polling, else at what sends no events."""

Mark: TypeAlias = tuple[int, ...]
"""What tells two states of a file apart; empty when it is not there."""

_EVENTLESS: Final = frozenset(
    {
        "9p", "virtiofs", "vboxsf", "prl_fs", "grpcfuse", "fakeowner", "osxfs", "nfs", "nfs4",
        "cifs", "smb3", "smbfs",
    }
)  # fmt: skip
"""Kinds of mounts whose other side changes files without an event here."""
_NOT_LOOKED_INTO: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
_TEMPORARY: Final = re.compile(
    r"\..*|#.*#|.*~|.*\.(sw[a-z]|swpx|tmp|temp|bak|orig|part|crdownload|lock|pyc|pyo)"
    r"|4913|.*___jb_(tmp|old)___|sed\w{6}"
)
"""What vim, emacs, nano, kate, JetBrains' editors and sed leave beside a file for a moment."""


class Watched:
    """What belongs to a script, whether it is there already or comes later.

    Parameters
    ----------
    settings : script, app root, model folder, config file.

    Attributes
    ----------
    config_files : each place where a config file is read from.
    """

    def __init__(self, settings: Settings) -> None:
        self.code = _outermost([settings.script.parent, settings.root])
        self.models = [settings.root / MODELS_FOLDER]
        if settings.model_dir is not None:
            self.models.append(settings.model_dir.absolute())
        folders = dict.fromkeys((settings.root, settings.script.parent))
        named = settings.config_file
        self.config_files = [named] if named is not None else [each / FILE_NAME for each in folders]
        self.config_files = [file.absolute() for file in self.config_files]

    def matters(self, path: Path) -> bool:
        """Whether a change of this file is a change of the script."""
        if path in self.config_files:
            return True
        base = next(
            (each for each in (*self.models, *self.code) if path.is_relative_to(each)), None
        )
        if base is None:
            return False
        parts = path.relative_to(base).parts
        if any(part in _NOT_LOOKED_INTO or _TEMPORARY.fullmatch(part) for part in parts):
            return False
        return base in self.models or path.suffix == ".py"

    def folders(self) -> list[Path]:
        """Every folder to watch that is there, each once."""
        return [each for each in _outermost([*self.code, *self.models]) if each.is_dir()]

    def files(self) -> Iterator[Path]:
        """Every file that matters, as it is now."""
        for top in self.folders():
            for folder, names, _ in _walk(top):
                yield from (path for name in names if self.matters(path := Path(folder, name)))
        yield from (file for file in self.config_files if file.is_file())

    def snapshot(self) -> dict[Path, Mark]:
        """Time, size and identity of every file."""
        found = _marks(self.files()).items()
        return {path: mark for path, mark in found if mark}  # the others are being replaced

    def silent_files(self) -> list[Path]:
        """Files whose changes may come without an event: a link's target is elsewhere."""
        links = [path for path in self.files() if path.is_symlink()]
        return [*links, *self.config_files]

    def silent_folders(self) -> dict[Path, Mark]:
        """Folders that send events only as long as they are the same; with who they are now."""
        found = {*self.code, *self.models}
        for top in self.folders():
            found.update(link for _, _, links in _walk(top) for link in links)
        return {folder: _folder_mark(folder) for folder in sorted(found)}


def _walk(top: Path) -> Iterator[tuple[str, list[str], list[Path]]]:
    """Every folder, with its files and the links to folders in it.

    Links are followed, but into no folder twice: they may lead in circles. A folder is seen
    under its own name rather than that of a link to it.
    """
    seen: set[Mark] = set()
    tops = deque([top])
    while tops:
        for folder, below, names in os.walk(tops.popleft()):
            here = _folder_mark(Path(folder))
            if not here or here in seen:
                below.clear()
                continue
            seen.add(here)
            below[:] = [name for name in below if _is_looked_into(Path(folder, name))]
            links = [path for name in below if (path := Path(folder, name)).is_symlink()]
            tops += links
            yield folder, names, links


def _is_looked_into(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in _NOT_LOOKED_INTO
    return not hidden and not Path(folder, "pyvenv.cfg").exists()


def _file_mark(path: Path) -> Mark:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _folder_mark(path: Path) -> Mark:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino


class Watcher:
    """Waits for changes, on a thread of its own.

    Parameters
    ----------
    watched : what belongs to the script.
    changed : called on the thread with the files of each change.
    polling : look instead of waiting for events.
    notice : called with what a person should know.
    """

    def __init__(
        self,
        watched: Watched,
        changed: Callable[[list[Path]], None],
        *,
        polling: bool,
        notice: Callable[[str], None],
    ) -> None:
        self._watched, self._changed, self._notice = watched, changed, notice
        self._stopped = threading.Event()
        self._unwatched: dict[Path, Mark] | None = None
        self._wait = self._poll if polling else self._events
        self._thread = threading.Thread(target=self._run, name="scorehost-reload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._wait()
        except ModuleNotFoundError:  # watchfiles is not installed
            self._poll()
        except Exception as error:  # out of inotify watches, most often
            if not self._stopped.is_set():
                self._notice(f"no events about changed files ({error}); they are looked at instead")
                self._poll()

    def _events(self) -> None:
        self._unwatched = self._watched.snapshot()
        while not self._stopped.is_set():
            self._events_until_folders_change()

    def _events_until_folders_change(self) -> None:
        """Wait for events, and tell what comes without one.

        Ends when a folder has come or was replaced: only a new watch gets its events.
        """
        watched = self._watched
        folders = watched.silent_folders()
        files = _marks(watched.silent_files())
        for events in self._watch():
            seen = _marks(files)
            found = {path for _, name in events if watched.matters(path := Path(name))}
            found |= _changed(files, seen) | self._missed()
            now = watched.silent_folders() if found else _looked_at_again(folders)
            moved = {path for path, mark in now.items() if mark and mark != folders.get(path)}
            if moved:
                self._unwatched = watched.snapshot()
            if found or moved:
                # What was seen counts: a change from now on is the next one.
                files = _marks(watched.silent_files()) | seen
                self._tell(found | moved)
            if moved:
                return
            folders = now

    def _missed(self) -> set[Path]:
        """What has changed while a watch was being set up; asked once it is there."""
        before, self._unwatched = self._unwatched, None
        return _changed(before, self._watched.snapshot()) if before is not None else set()

    def _watch(self) -> Iterator[set[tuple[Any, str]]]:
        """Sets of events as they come, and an empty one whenever there was none for a while.

        All events: a filter of watchfiles' would keep both from us while others keep coming.
        """
        import watchfiles

        return watchfiles.watch(
            *self._watched.folders(),
            watch_filter=None,
            debounce=int(LONGEST_BURST * 1000),
            step=int(QUIET * 1000),
            stop_event=self._stopped,
            rust_timeout=int(LOOK_EVERY * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )

    def _poll(self) -> None:
        before = self._watched.snapshot()
        while not self._stopped.wait(LOOK_EVERY):
            now = self._watched.snapshot()
            if now == before:
                continue
            until = time.monotonic() + LONGEST_BURST
            while time.monotonic() < until and not self._stopped.wait(QUIET):
                later = self._watched.snapshot()
                if later == now:
                    break
                now = later
            self._tell(_changed(before, now))
            before = now

    def _tell(self, paths: Iterable[Path]) -> None:
        if not self._stopped.is_set():
            self._changed(sorted(paths))


def needs_polling(folders: Iterable[Path]) -> bool:
    """Whether one of the folders lies on a mount that sends no events."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    mounts = {_unescaped(line.split()[4]): _kind(line) for line in lines if " - " in line}
    for folder in folders:
        path = folder.resolve()
        place = next((str(each) for each in (path, *path.parents) if str(each) in mounts), "/")
        kind = mounts.get(place, "")
        if kind in _EVENTLESS or kind.startswith("fuse"):
            return True
    return False


def _marks(files: Iterable[Path]) -> dict[Path, Mark]:
    return {path: _file_mark(path) for path in files}


def _changed(before: dict[Path, Mark], after: dict[Path, Mark]) -> set[Path]:
    return {path for path, _ in set(before.items()) ^ set(after.items())}


def _looked_at_again(folders: Iterable[Path]) -> dict[Path, Mark]:
    return {folder: _folder_mark(folder) for folder in folders}


def _kind(line: str) -> str:
    return line.partition(" - ")[2].split()[0]


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Each folder once, and none that lies in another."""
    found: list[Path] = []
    for folder in sorted({each.absolute() for each in folders}):
        if not any(folder.is_relative_to(other) for other in found):
            found.append(folder)
    return found
