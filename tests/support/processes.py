"""The processes of a server, as /proc shows them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LISTENING = "0A"


@dataclass(frozen=True)
class Process:
    """One line of ``ps``."""

    pid: int
    parent: int
    session: int
    state: str
    command: str

    @property
    def ended(self) -> bool:
        """It has exited, whether its parent has noticed or not."""
        return self.state in "ZX"


def all_processes() -> Iterator[Process]:
    """Every process there is; those that end while we look are left out."""
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            process = look_at(int(folder.name))
            if process is not None:
                yield process


def look_at(pid: int) -> Process | None:
    """One process, or None when it is gone."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
        command = (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything; the rest has no parenthesis.
    fields = stat.rpartition(")")[2].split()
    words = command.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    return Process(pid, int(fields[1]), int(fields[3]), fields[0], words)


def alive(pid: int) -> bool:
    """The process exists and has not exited."""
    process = look_at(pid)
    return process is not None and not process.ended


def tree(pid: int) -> list[Process]:
    """A process and everything below it, parents first."""
    everything = list(all_processes())
    found = [process for process in everything if process.pid == pid]
    for process in found:
        found.extend(child for child in everything if child.parent == process.pid)
    return found


def in_session(session: int) -> list[Process]:
    """The processes of one session that have not exited, whoever their parent is by now."""
    return [each for each in all_processes() if each.session == session and not each.ended]


def listening_ports(pid: int) -> set[int]:
    """The TCP ports that a process tree listens on."""
    ports = dict(_listeners())
    return {ports[inode] for process in tree(pid) for inode in _sockets(process.pid) & set(ports)}


def _listeners() -> Iterator[tuple[str, int]]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING:
                yield fields[9], int(fields[1].rpartition(":")[2], 16)


def open_files(pid: int) -> list[str]:
    """What a process has open, as /proc names it."""
    found = []
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for descriptor in (PROC / str(pid) / "fd").iterdir():
            with suppress(FileNotFoundError):
                found.append(os.readlink(descriptor))
    return found


def _sockets(pid: int) -> set[str]:
    names = open_files(pid)
    return {name[len("socket:[") : -1] for name in names if name.startswith("socket:[")}


def resident_bytes(pid: int) -> int:
    """The resident memory of one process."""
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
