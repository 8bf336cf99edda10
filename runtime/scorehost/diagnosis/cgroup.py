"""What the container may use: CPUs and memory, and how often it ran out of the latter.

Read from the control groups of this process, version 1 or 2, through ``/proc/self/cgroup`` and
``/proc/self/mountinfo``, from its own group up to the highest one visible: the tightest limit
counts. Not read: CPU affinity and cpusets (``os.sched_getaffinity`` knows those), and the
memory of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

Number = TypeVar("Number", int, float)

_UNLIMITED = 1 << 60
"""Version 1 says "no limit" with the largest multiple of a page that fits 63 bits."""


@dataclass(frozen=True)
class Limits:
    """What the control groups allow.

    Parameters
    ----------
    cpus : processors' worth of time; None when not limited.
    memory_bytes : None when not limited.
    oom_kills : processes of this group killed for want of memory so far; None when not counted.
    version : 1 or 2, by where memory is limited; 0 without control groups.
    """

    cpus: float | None = None
    memory_bytes: int | None = None
    oom_kills: int | None = None
    version: int = 0


def read_limits(root: Path = Path("/")) -> Limits:
    """Read the limits of this process; never raises.

    Parameters
    ----------
    root : the folder that holds ``proc`` and ``sys``.
    """
    try:
        groups = _Groups(root)
    except (OSError, ValueError):
        return Limits()
    memory, memory_version = groups.folders("memory")
    cpu, cpu_version = groups.folders("cpu")
    return Limits(
        cpus=_least(_cpus(folder, cpu_version) for folder in cpu),
        memory_bytes=_least(_memory(folder, memory_version) for folder in memory),
        oom_kills=_oom_kills(memory[0], memory_version) if memory else None,
        version=memory_version if memory else cpu_version,
    )


class MemoryGauge:
    """How much memory this process's control group uses; never raises.

    Parameters
    ----------
    root : the folder that holds ``proc`` and ``sys``; it is searched once, here.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        try:
            folders, version = _Groups(root).folders("memory")
        except (OSError, ValueError):
            folders, version = [], 0
        self._folder = folders[0] if folders else None
        self._used = "memory.current" if version == 2 else "memory.usage_in_bytes"
        name = "inactive_file" if version == 2 else "total_inactive_file"
        self._cached = re.compile(rf"^{name} (\d+)$", re.MULTILINE)

    def used(self) -> int | None:
        """Bytes in use, cached files included; None where that cannot be read."""
        text = _text(self._folder / self._used) if self._folder else ""
        return int(text) if text.isdigit() else None

    def reclaimable(self) -> int:
        """Bytes of cached files not read lately, which make way before anything is killed."""
        text = _text(self._folder / "memory.stat") if self._folder else ""
        found = self._cached.search(text)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class _Mount:
    """A mounted hierarchy: where it is, which part of it, and its controllers."""

    folder: Path
    part: PurePosixPath
    version: int
    controllers: frozenset[str]


class _Groups:
    """The process's group in each hierarchy."""

    def __init__(self, root: Path) -> None:
        self._mounts = list(_mounts(root))
        self._paths = dict(_paths((root / "proc/self/cgroup").read_text("utf-8", "replace")))

    def folders(self, controller: str) -> tuple[list[Path], int]:
        """Folders of the group and those above it, the group's own first, and the version."""
        if controller in self._paths:
            for mount in self._mounts:
                if mount.version == 1 and controller in mount.controllers:
                    return _upwards(mount, self._paths[controller]), 1
        for mount in self._mounts:
            if mount.version == 2 and "" in self._paths:
                return _upwards(mount, self._paths[""]), 2
        return [], 0


def _paths(text: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Controller and path of each line ``id:controllers:path``; version 2 has no controllers."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, PurePosixPath(path or "/")


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in (root / "proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds or kinds[0] not in {"cgroup", "cgroup2"}:
            continue
        folder = root / _unescaped(fields[4]).lstrip("/")
        options = frozenset(kinds[-1].split(","))
        version = 2 if kinds[0] == "cgroup2" else 1
        yield _Mount(folder, PurePosixPath(_unescaped(fields[3])), version, options)


def _unescaped(field: str) -> str:
    """``mountinfo`` writes blanks and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _upwards(mount: _Mount, path: PurePosixPath) -> list[Path]:
    """The group's folder and all above it, as far as they are mounted.

    A path outside the mounted part (``/../..`` in a foreign namespace) leaves the mount itself.
    """
    relative = path.relative_to(mount.part) if path.is_relative_to(mount.part) else PurePosixPath()
    if ".." in relative.parts:
        relative = PurePosixPath()
    own = mount.folder / relative
    while not own.is_dir() and own != mount.folder:
        own = own.parent
    above = [folder for folder in own.parents if folder.is_relative_to(mount.folder)]
    return [own, *above]


def _cpus(folder: Path, version: int) -> float | None:
    if version == 2:
        quota, _, period = _text(folder / "cpu.max").partition(" ")
    else:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period) or None


def _memory(folder: Path, version: int) -> int | None:
    text = _text(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
    return int(text) if text.isdigit() and int(text) < _UNLIMITED else None


def _oom_kills(folder: Path, version: int) -> int | None:
    text = _text(folder / ("memory.events" if version == 2 else "memory.oom_control"))
    match = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(match[1]) if match else None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _least(values: Iterator[Number | None]) -> Number | None:
    return min((value for value in values if value is not None), default=None)
