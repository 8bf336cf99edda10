"""The termination message while memory runs short, and after."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scorehost.diagnosis.cgroup import MemoryGauge
from scorehost.diagnosis.report import DEFAULT_TERMINATION_LOG
from scorehost.front.workers.termination_message import USUAL_PLACE, TerminationMessage

MIB = 1 << 20
FIXTURES = Path(__file__).parent / "fixtures" / "cgroup"


class Container:
    """Memory that a test sets, and the message that comes of it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "termination-log"
        self.now: int | None = 10 * MIB
        self.inside = ""
        self.words = TerminationMessage(self.file, lambda: self.inside, limit=100 * MIB, gauge=self)

    cached = 0

    def used(self) -> int | None:
        """What a gauge says of the whole."""
        return self.now

    def reclaimable(self) -> int:
        """What a gauge says of cached files."""
        return self.cached

    def look(self, megabytes: int | None) -> str:
        """Look once at this much in use; the message then."""
        self.now = None if megabytes is None else megabytes * MIB
        self.words.look()
        return self.file.read_text() if self.file.exists() else ""


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


def test_enough(container: Container) -> None:
    """Nothing is written while there is enough, and it does not change fast."""
    assert [container.look(used) for used in (5, 10, 15, 20, 10)] == [""] * 5


def test_short(container: Container) -> None:
    """Beforehand: how much of how much, what is inside, and what to make of silence."""
    for used in range(10, 80, 8):
        container.look(used)
    container.inside = "request r-1"

    message = container.look(81)

    assert "81.0 MiB of the container's 100.0 MiB of memory is in use" in message
    assert "while handling request r-1" in message
    assert "the whole container was killed because it ran out of memory" in message


def test_enough_again(container: Container) -> None:
    """The warning goes when the need has gone."""
    container.look(90)

    assert container.look(30) == ""


def test_fast(container: Container) -> None:
    """A leap is a warning by itself, long before the limit."""
    container.look(10)

    assert "35.0 MiB" in container.look(35)


def test_cached_files_make_way(container: Container) -> None:
    """What the kernel can take back is not short."""
    container.cached = 60 * MIB
    for used in range(10, 90, 8):
        assert container.look(used) == ""


def test_a_death_stays(container: Container) -> None:
    """A worker's explained end is the message until another one; a warning comes on top."""
    container.words.died("worker 1 (pid 8): Out of memory")
    assert container.file.read_text() == "worker 1 (pid 8): Out of memory"

    warned = container.look(90)
    assert "out of memory" in warned
    assert "Before that: worker 1 (pid 8): Out of memory" in warned
    assert container.look(10) == "worker 1 (pid 8): Out of memory"


def test_what_cannot_be_read(container: Container) -> None:
    """No reading is no news."""
    container.look(90)
    before = container.file.read_text()

    assert container.look(None) == before


def test_where_it_is_of_use(tmp_path: Path) -> None:
    """Only with a limit, and with a place for the message."""
    file = tmp_path / "log"

    gauge = MemoryGauge()
    assert TerminationMessage(file, str, limit=MIB, gauge=gauge).needed
    assert not TerminationMessage(file, str, limit=None, gauge=gauge).needed
    assert TerminationMessage(None, str, limit=MIB, gauge=gauge).needed is USUAL_PLACE.exists()
    assert USUAL_PLACE == DEFAULT_TERMINATION_LOG


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """The server goes on without a message."""
    words = TerminationMessage(tmp_path / "nowhere" / "log", str, limit=1, gauge=MemoryGauge())

    words.look()
    words.died("so")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (2, {"memory.current": "1000", "memory.stat": "anon 5\ninactive_file 300\n"}),
        (1, {"memory.usage_in_bytes": "1000", "memory.stat": "total_inactive_file 300\n"}),
    ],
)
def test_gauge(tmp_path: Path, version: int, files: dict[str, str]) -> None:
    """Of both versions of control groups."""
    fixture = FIXTURES / ("v2_container" if version == 2 else "v1_docker")
    root = tmp_path / "root"
    shutil.copytree(fixture, root)
    limit = "memory.max" if version == 2 else "memory.limit_in_bytes"
    for folder in {file.parent for file in root.rglob(limit)}:
        for name, text in files.items():
            (folder / name).write_text(text)

    gauge = MemoryGauge(root)
    assert (gauge.used(), gauge.reclaimable()) == (1000, 300)


def test_a_gauge_without_control_groups(tmp_path: Path) -> None:
    gauge = MemoryGauge(tmp_path)

    assert (gauge.used(), gauge.reclaimable()) == (None, 0)
