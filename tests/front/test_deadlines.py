"""A worker whose request is past its deadline: what the log says, and in which order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scorehost.front.scheduling.deadlines import STACKS_TAKE, Deadlines
from scorehost.front.workers.handle import WorkerHandle
from scorehost.settings import Settings
from support.front_parts import FakeClock, exchange, worker_without_process


class Stand:
    """The deadlines, a worker, and the lines that were logged."""

    def __init__(self, worker: WorkerHandle) -> None:
        self.clock = FakeClock()
        self.lines: list[str] = []
        log = SimpleNamespace(error=self._log, warning=self._log)
        self.deadlines = Deadlines(Settings(), cast("Any", log), self.clock.later)
        self.worker = worker
        self.late = worker.in_flight[1] = exchange(number=1, request_id=b"late")
        self.deadlines.expired(worker, self.late)

    def _log(self, text: str, *, request_id: str) -> None:
        self.lines.append(f"[{request_id}] {text}")

    def write_stacks(self, text: bytes) -> None:
        os.write(self.worker.stacks_file, text)


@pytest.fixture
def stand() -> Iterator[Stand]:
    with worker_without_process(1, FakeClock().now) as (worker, _):
        yield Stand(worker)


def test_the_stacks_of_one_that_stays_inside(stand: Stand) -> None:
    stand.write_stacks(b"in spin")
    stand.clock.pass_by(STACKS_TAKE)

    [line] = stand.lines
    assert line.startswith("[late] the deadline of")
    assert line.endswith("\nin spin")


def test_the_stacks_come_before_what_became_of_it(stand: Stand) -> None:
    stand.write_stacks(b"in spin")
    del stand.worker.in_flight[1]
    stand.deadlines.came_out(stand.worker, stand.late, "was interrupted")

    stacks, what = stand.lines
    assert stacks.endswith("\nin spin")
    assert what.startswith("[late]")
    assert what.endswith("was interrupted after its deadline and continues")


def test_the_next_request_has_stacks_of_its_own(stand: Stand) -> None:
    """It may end its process while those of the one before would still be awaited."""
    stand.write_stacks(b"in spin")
    stand.deadlines.came_out(stand.worker, stand.late, "was interrupted")
    stand.write_stacks(b"in next")
    stand.clock.pass_by(STACKS_TAKE)

    assert len(stand.lines) == 2
    assert stand.worker.read_stacks() == "in next"


def test_stacks_that_are_not_written_yet_are_awaited(stand: Stand) -> None:
    stand.deadlines.came_out(stand.worker, stand.late, "returned on its own")
    stand.write_stacks(b"in spin")
    stand.clock.pass_by(STACKS_TAKE)

    assert [line.endswith("in spin") for line in stand.lines] == [False, True]


def test_a_process_that_ends_inside_keeps_them_for_its_report(stand: Stand) -> None:
    stand.write_stacks(b"in spin")
    stand.worker.returncode = 3
    stand.clock.pass_by(STACKS_TAKE)

    assert stand.lines == []
    assert stand.worker.read_stacks() == "in spin"
