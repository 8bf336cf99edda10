"""Recording stops when the disk does not take it, and goes on when it does; nothing else stops."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from support.commands import run
from support.processes import all_processes
from support.server import LiveServer, StartServer
from support.wait import wait_until

SCRIPT = "def init():\n    pass\n\n\ndef run(data):\n    return len(data)\n"
LIMIT = 32 << 10
BODY = b"b" * (LIMIT + 4096)
"""A request whose record is over the limit, but which needs no memory file, which has it too."""
STOPPED = "requests cannot be recorded in"
GOES_ON = "requests are recorded again"


@contextmanager
def mounted(options: str) -> Iterator[Path]:
    """A small disk of its own; only root can mount one."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount() -> bool:
    try:
        with mounted("size=64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk with room for 100 files of 8 MiB in all; a plain folder where none can be mounted."""
    if can_mount():
        with mounted("size=8m,nr_inodes=100") as folder:
            yield folder
    else:
        with tempfile.TemporaryDirectory() as plain:
            yield Path(plain)


# -- what keeps a server from writing, while it is entered -----------------------------------


@contextmanager
def limited(server: LiveServer, folder: Path) -> Iterator[None]:
    """The files of its front may have no more than LIMIT bytes."""
    (front,) = [each.pid for each in all_processes() if each.parent == server.pid]
    before = resource.prlimit(front, resource.RLIMIT_FSIZE)
    resource.prlimit(front, resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.prlimit(front, resource.RLIMIT_FSIZE, before)


@contextmanager
def in_the_way(server: LiveServer, folder: Path) -> Iterator[None]:
    """A file has the folder's name."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.touch()
    yield
    folder.unlink()
    aside.rename(folder)


def until_full(write: Callable[[], object]) -> None:
    with contextlib.suppress(OSError):  # there is no more room, or no more files
        while True:
            write()


@contextmanager
def no_room(server: LiveServer, folder: Path) -> Iterator[None]:
    """The disk has no byte left."""
    filler = folder.parent / "filler"
    with filler.open("wb", buffering=0) as file:
        until_full(lambda: file.write(bytes(4096)))
    yield
    filler.unlink()


@contextmanager
def no_files(server: LiveServer, folder: Path) -> Iterator[None]:
    """The disk has room, but not for another file."""
    filler = folder.parent / "files"
    filler.mkdir()
    names = map(str, itertools.count())
    until_full(lambda: (filler / next(names)).touch())
    yield
    shutil.rmtree(filler)


OBSTACLES: list[Callable[[LiveServer, Path], AbstractContextManager[None]]] = [
    limited,
    in_the_way,
    *([no_room, no_files] if can_mount() else []),
]


@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda each: each.__name__)
def test_recording_goes_on_when_it_can(
    own_server: StartServer,
    disk: Path,
    obstacle: Callable[[LiveServer, Path], AbstractContextManager[None]],
):
    """It is said once when it stops and once when it goes on, with the number that is missing."""
    folder = disk / "requests"
    settings = {"SCOREHOST_RECORD": "all", "SCOREHOST_RECORD_FOLDER": str(folder)}
    server = own_server("", files={"main.py": SCRIPT}, settings=settings)
    asked = 0

    def ask() -> None:
        nonlocal asked
        assert server.post(body=BODY).json() == len(BODY), "whatever becomes of its record"
        asked += 1

    ask()
    wait_until(lambda: files_of(folder) == [".json"], what="the first is recorded")
    with obstacle(server, folder):
        for _ in range(3):
            ask()
        server.wait_for_line(STOPPED)
        ask()
    wait_until(lambda: ask() or server.lines(GOES_ON), what="recorded again")
    ask()
    server.stop()

    assert (len(server.lines(STOPPED)), len(server.lines(GOES_ON))) == (1, 1), server.log
    assert str(folder) in server.lines(STOPPED)[0]
    missed = int(re.search(r"again; (\d+) in the meantime", server.lines(GOES_ON)[0])[1])  # type: ignore[index]
    assert missed >= 1  # its thread may come to the others when there is room again
    assert files_of(folder) == [".json"] * (asked - missed)
    replayed = run(server.folder, "replay", str(folder))
    assert replayed.status == 0, replayed
    assert replayed.out.endswith(f"{asked - missed} same\n")


def files_of(folder: Path) -> list[str]:
    return sorted(file.suffix for file in folder.iterdir()) if folder.is_dir() else []


def test_a_folder_that_is_removed_is_made_again(own_server: StartServer):
    """Nothing is missed, so nothing is said."""
    server = own_server("", files={"main.py": SCRIPT}, settings={"SCOREHOST_RECORD": "all"})
    folder = server.folder / ".scorehost" / "requests"
    for _ in range(2):
        server.post(body=BODY)
        wait_until(lambda: files_of(folder) == [".json"], what="recorded")
        shutil.rmtree(folder.parent)
    server.post(body=BODY)
    server.stop()

    assert files_of(folder) == [".json"]
    assert not server.lines(STOPPED)
    assert run(server.folder, "replay", "--all").status == 0


def test_a_half_record_is_told_and_the_others_are_asked(own_server: StartServer):
    """As a machine that lost its power may leave it, whatever the server does."""
    server = own_server("", files={"main.py": SCRIPT}, settings={"SCOREHOST_RECORD": "all"})
    folder = server.folder / ".scorehost" / "requests"
    for _ in range(3):
        server.post(body=BODY)
    server.stop()
    first, second, _ = sorted(folder.iterdir())
    os.truncate(first, 1000)
    os.truncate(second, 0)

    done = run(server.folder, "replay", "--all")

    assert (done.status, done.out.splitlines()[-1]) == (3, "1 request: 1 same"), done
    assert [line.partition(" is not JSON")[0] for line in done.err.splitlines()] == [
        str(first), str(second),
    ]  # fmt: skip
