"""Which files a running script is made of, and when one of them changes.

A thread waits for the kernel's events (through watchfiles), or looks at every file a few times a
second: where watchfiles is not installed, where events run out, and on mounts that send none, as
bind mounts from another system do. Saves that come close together are one change; what editors
write beside a file, and what Python caches, is none. What it does not see: packages outside the
app root, and data that the script opens by a path of its own.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from scorehost.model_path import MODELS_FOLDER
from scorehost.settings import Settings

QUIET: Final = 0.05
"""Seconds without another event after which a burst of saves is over."""
LONGEST_BURST: Final = 0.4
LOOK_EVERY: Final = 0.25
"""Seconds between two looks when polling."""

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
    """What belongs to a script.

    Parameters
    ----------
    settings : script, app root, model folder.
    config_file : the config file that was read, if any.
    """

    def __init__(self, settings: Settings, config_file: Path | None) -> None:
        self.code = _outermost([settings.script.parent, settings.root])
        models = [settings.root / MODELS_FOLDER]
        if settings.model_dir is not None:
            models.append(settings.model_dir.absolute())
        self.models = [folder for folder in models if folder.exists()]
        self.config_file = config_file.absolute() if config_file is not None else None

    def matters(self, path: Path) -> bool:
        """Whether a change of this file is a change of the script."""
        if path == self.config_file:
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
        """Every folder to watch, each once."""
        config = [self.config_file.parent] if self.config_file is not None else []
        return [each for each in _outermost([*self.code, *self.models, *config]) if each.is_dir()]

    def files(self) -> Iterator[Path]:
        """Every file that matters, as it is now."""
        for top in self.folders():
            for folder, below, names in os.walk(top, followlinks=True):
                below[:] = [
                    name
                    for name in below
                    if name not in _NOT_LOOKED_INTO
                    and not name.startswith(".")
                    and not Path(folder, name, "pyvenv.cfg").exists()
                ]
                yield from (path for name in names if self.matters(path := Path(folder, name)))

    def snapshot(self) -> dict[Path, tuple[int, int, int]]:
        """Time, size and identity of every file."""
        found = {}
        for path in self.files():
            try:
                stat = path.stat()
            except OSError:  # it is being replaced
                continue
            found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return found


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
        self._wait = self._poll if polling else self._events
        self._thread = threading.Thread(target=self._run, name="scorehost-reload", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, soon."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._wait()
        except Exception as error:  # out of inotify watches, most often
            if not self._stopped.is_set():
                self._notice(f"no events about changed files ({error}); they are looked at instead")
                self._poll()

    def _events(self) -> None:
        try:
            import watchfiles
        except ModuleNotFoundError:
            self._poll()
            return
        wanted: Any = lambda _change, path: self._watched.matters(Path(path))  # noqa: E731
        for changes in watchfiles.watch(
            *self._watched.folders(),
            watch_filter=wanted,
            debounce=int(LONGEST_BURST * 1000),
            step=int(QUIET * 1000),
            stop_event=self._stopped,
            rust_timeout=1000,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            self._tell({Path(path) for _, path in changes})

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
            self._tell({path for path, _ in set(before.items()) ^ set(now.items())})
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
