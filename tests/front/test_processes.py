"""One scoring process as the front has it: started, heard, interrupted, noticed at its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from scorehost.diagnosis.cgroup import Limits
from scorehost.front.observe.log import Log
from scorehost.front.observe.writer import LogWriter
from scorehost.front.workers.capacity import Memory, measure, plan_workers
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.launcher import (
    THREAD_VARIABLES,
    Launcher,
    thread_variables,
)
from scorehost.front.workers.processes import Processes
from scorehost.front.workers.roster import Member
from scorehost.settings import Settings
from scorehost.wire import answers, requests
from scorehost.wire.answers import AnswerFrame
from scorehost.wire.signals import send_to_main_thread
from support.front_parts import exchange
from support.server import clean_environment, script_file

MIB = 1 << 20


class Heard:
    """What the processes said and did."""

    def __init__(self) -> None:
        self.frames: list[AnswerFrame] = []
        self.ended: list[int] = []

    def take_answers(self, _worker: WorkerHandle, found: Sequence[AnswerFrame]) -> None:
        self.frames += found

    def control_frame(self, _handle: WorkerHandle, frame: AnswerFrame) -> None:
        self.frames.append(frame)

    def process_ended(self, handle: WorkerHandle) -> None:
        assert handle.returncode is not None
        self.ended.append(handle.returncode)

    def of(self, kind: int) -> list[AnswerFrame]:
        return [frame for frame in self.frames if frame.kind == kind]


async def until(true: Callable[[], object]) -> None:
    end = asyncio.get_running_loop().time() + 30
    while not true():
        assert asyncio.get_running_loop().time() < end, "it does not become true"
        await asyncio.sleep(0.01)


class Stage:
    """Processes on a running loop, and a log in a file."""

    def __init__(self, folder: Path, script: str) -> None:
        (folder / script).write_bytes(script_file(script).read_bytes())
        self.settings = Settings(app_root=folder, entry_script=script)
        self._log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        self.writer = LogWriter(self._log)
        self.launcher = Launcher(self.settings, clean_environment(), 4.0)
        self.heard = Heard()
        self.processes = Processes(
            asyncio.get_running_loop(),
            self.launcher,
            Log(self.writer, "DEBUG", "text", "own"),
            self.heard,
        )
        self.processes.take_answers = self.heard.take_answers

    def log(self, folder: Path) -> str:
        self.writer.close()
        os.close(self._log)
        return (folder / "log").read_text()


def test_a_worker_scores_and_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        stage, handle = Stage(tmp_path, "prints.py"), WorkerHandle(Member(1, 1, share=2))
        stage.processes.start(handle)
        await until(lambda: stage.heard.of(answers.READY))
        stages = [frame.body.decode() for frame in stage.heard.of(answers.STAGE)]
        assert stages[0] == "read"
        assert "init()" in stages
        assert handle.memory() > 5 * MIB

        handle.write(exchange(b'"hello"', number=5, request_id=b"r-7"))
        await until(lambda: stage.heard.of(answers.ANSWER))
        (answer,) = stage.heard.of(answers.ANSWER)
        assert answer.number == 5

        handle.send_control(requests.STOP)
        await until(lambda: stage.heard.ended)
        assert stage.heard.ended == [0]
        log = stage.log(tmp_path)
        assert "printed at import" in log
        assert any("printed hello" in line and "r-7" in line for line in log.splitlines())

    asyncio.run(scene())


def test_a_script_that_fails_sends_its_report(tmp_path: Path) -> None:
    async def scene() -> None:
        stage, handle = Stage(tmp_path, "init_raises.py"), WorkerHandle(Member(1, 1))
        stage.processes.start(handle)
        await until(lambda: stage.heard.ended)

        assert stage.heard.ended == [3]
        (failed,) = stage.heard.of(answers.FAILED)
        assert json.loads(failed.body)["stage"] == "init()"
        stage.log(tmp_path)

    asyncio.run(scene())


def test_a_worker_that_is_killed_is_noticed(tmp_path: Path) -> None:
    async def scene() -> None:
        stage, handle = Stage(tmp_path, "echo.py"), WorkerHandle(Member(1, 1))
        stage.processes.start(handle)
        await until(lambda: stage.heard.of(answers.READY))

        handle.kill("deadline")
        handle.kill("stopped")
        await until(lambda: stage.heard.ended)

        assert stage.heard.ended == [-signal.SIGKILL]
        assert handle.kill_reason == "deadline", "the first reason explains it"
        stage.log(tmp_path)

    asyncio.run(scene())


def test_stacks_are_written_on_demand(tmp_path: Path) -> None:
    async def scene() -> None:
        stage, handle = Stage(tmp_path, "echo.py"), WorkerHandle(Member(1, 1))
        stage.processes.start(handle)
        await until(lambda: stage.heard.of(answers.READY))

        handle.dump_stacks()
        found: list[str] = []
        await until(lambda: found.append(handle.read_stacks()) or "File " in "".join(found))
        assert "most recent call first" in "".join(found)

        handle.send_control(requests.STOP)
        await until(lambda: stage.heard.ended)
        stage.log(tmp_path)

    asyncio.run(scene())


def test_a_late_signal_raises_nowhere(tmp_path: Path) -> None:
    """The request was over before it was begun, and only then its signal arrives."""

    async def scene() -> None:
        stage, handle = Stage(tmp_path, "echo.py"), WorkerHandle(Member(1, 1))
        stage.processes.start(handle)
        await until(lambda: stage.heard.of(answers.READY))

        handle.shared.victim = 5
        handle.write(exchange(b"1", number=5))
        await until(lambda: stage.heard.of(answers.FAILURE))
        handle.interrupt(5)
        handle.write(exchange(b"2", number=6))
        await until(lambda: stage.heard.of(answers.ANSWER))

        handle.send_control(requests.STOP)
        await until(lambda: stage.heard.ended)
        assert stage.heard.ended == [0]
        stage.log(tmp_path)

    asyncio.run(scene())


def test_without_room_for_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system refuses: whoever asked is told, and the handle is closed."""

    async def scene() -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
        stage, handle = Stage(tmp_path, "echo.py"), WorkerHandle(Member(1, 1))
        ours = [handle.requests.fileno(), handle.answers.fileno(), handle.output]
        files = [*ours, *handle.their_files()]

        with pytest.raises(FileNotFoundError):
            stage.processes.start(handle)

        for file in files:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(file)
        stage.log(tmp_path)

    asyncio.run(scene())


# -- what a process is started with ---------------------------------------------------------


@pytest.mark.parametrize(
    ("cpus", "workers", "share"), [(4.0, 2, "2"), (4.0, 3, "1"), (0.5, 8, "1"), (3.9, 0, "3")]
)
def test_each_worker_gets_its_share_of_threads(cpus: float, workers: int, share: str) -> None:
    assert thread_variables({}, cpus, workers) == dict.fromkeys(THREAD_VARIABLES, share)


def test_threads_that_the_user_has_set_stay() -> None:
    assert "OMP_NUM_THREADS" not in thread_variables({"OMP_NUM_THREADS": "9"}, 4.0, 1)


# -- how many workers -----------------------------------------------------------------------


def test_what_was_set_counts() -> None:
    plan = plan_workers(Settings(worker_count=3), Limits(None, 100 * MIB), available=8)

    assert (plan.count, plan.memory_bytes) == (3, None)
    assert plan.explanation == "3 scoring workers, as configured (WORKER_COUNT)"


@pytest.mark.parametrize(
    ("cpus", "memory", "available", "count", "decides"),
    [
        (None, None, 4, 4, None),
        (2.5, None, 4, 2, None),
        (0.5, 500 * MIB, 4, 1, None),
        (3.0, 500 * MIB, 4, 3, 500 * MIB),
    ],
)
def test_auto(
    cpus: float | None, memory: int | None, available: int, count: int, decides: int | None
) -> None:
    plan = plan_workers(Settings(worker_count=None), Limits(cpus, memory), available)

    assert (plan.count, plan.memory_bytes) == (count, decides)
    assert ("while memory allows" in plan.explanation) == (decides is not None)


def test_memory_is_measured() -> None:
    """Of processes that are there; one that has gone holds nothing."""
    gone = subprocess.Popen(["true"])
    gone.wait()

    here = measure([os.getpid(), gone.pid], os.getpid())

    assert here.used > 5 * MIB
    assert here.another > 0
    assert measure([gone.pid], gone.pid) == Memory(0, 0)


def test_room_for_more() -> None:
    memory = Memory(used=50 * MIB, another=20 * MIB)

    assert memory.how_many_more(100 * MIB) == 2
    assert memory.how_many_more(70 * MIB) == 0
    assert memory.how_many_more(10 * MIB) == 0


def test_a_signal_for_a_process_that_has_ended() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    with pytest.raises(ProcessLookupError):
        send_to_main_thread(gone.pid, signal.SIGTERM)
