"""WORKER_COUNT=auto: as many workers as CPUs and memory allow, measured on real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from scorehost.front.observe.log import Log
from scorehost.front.observe.writer import LogWriter
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.scheduling.queue_limits import QueueLimits
from scorehost.front.workers.capacity import KEPT_FREE, Plan, measure
from scorehost.front.workers.launcher import Launcher
from scorehost.front.workers.pool import Pool
from scorehost.settings import Settings
from support.client import Address
from support.server import SERVE, LiveServer, StartServer, free_port
from support.wait import wait_until

MODEL = """
import json, os
model = []
def init():
    model.append(b'm' * (60 << 20))
def run(data):
    return os.environ.get(json.loads(data))
"""


class Stand:
    """A pool of real processes on the test's own event loop, and what it told its owner."""

    def __init__(self, folder: Path, plan: Plan, **settings: Any) -> None:
        (folder / "main.py").write_text(MODEL)
        self._log_file = folder / "log"
        self._descriptor = os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._writer = LogWriter(self._descriptor)
        options = Settings(app_root=folder, worker_count=None, **settings)
        log = Log(self._writer, "INFO", "text", "own")
        loop = asyncio.get_running_loop()
        self.dispatcher = Dispatcher(options, QueueLimits(options), self, self.fail, self.expired)
        self.launcher = Launcher(options, os.environ, plan.cpus)
        self.pool = Pool(options, plan, loop, self.dispatcher, self.launcher, log)
        self.reloads: list[bool] = []
        self.later = loop.call_later
        self.now = loop.time

    # -- as the pool's owner ----------------------------------------------------------

    def answered(self, worker: Any, found: Any) -> None:
        raise AssertionError("nothing was asked")

    fail = expired = lost = log_report = start_failed = worker_ended = answered

    def nobody_serves(self) -> None:
        pass

    def reloaded(self, succeeded: bool) -> None:
        self.reloads.append(succeeded)

    # -- for the tests ----------------------------------------------------------------

    @property
    def log(self) -> str:
        return self._log_file.read_text()

    @property
    def serving(self) -> int:
        return len(self.dispatcher.serving)

    def shares(self) -> list[str]:
        """The number of threads each serving worker was given."""
        found = []
        for worker in self.dispatcher.serving:
            environ = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
            found += [
                each[16:].decode() for each in environ if each.startswith(b"OMP_NUM_THREADS=")
            ]
        return found

    async def until(self, condition: Callable[[], object], what: str) -> None:
        end = self.now() + 20
        while not condition():
            assert self.now() < end, f"not so: {what}\n{self.log}"
            await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """As many as are wanted serve, and nothing is starting or ending."""
        pool = self.pool

        def quiet() -> bool:
            loaders = sum(worker.member.is_loader for worker in pool.workers)
            return (
                self.serving == pool.lifecycle.wanted
                and len(pool.workers) == pool.lifecycle.wanted + loaders
                and not pool.lifecycle.measuring
            )

        await self.until(quiet, "settled")

    async def stop(self) -> None:
        gone = asyncio.Event()
        self.pool.on_empty = gone.set
        self.pool.stop()
        await asyncio.wait_for(gone.wait(), 10)
        self._writer.close()
        os.close(self._descriptor)


def _pair(line: str) -> tuple[str, str, str]:
    return line.partition("=")


def stand(
    folder: Path,
    check: Callable[[Stand], Awaitable[None]],
    *,
    room_for: float,
    preload: bool = False,
) -> None:
    """Run a check on a pool that wants four workers and has memory for fewer."""

    async def run() -> None:
        one = 75 << 20  # a worker with this model, seen from outside
        here = measure([os.getpid(), os.getppid()], 0).used
        limit = int((here + room_for * one) / (1 - KEPT_FREE))
        pool = Stand(folder, Plan(4, 4.0, "", limit), worker_preload=preload)
        pool.pool.start(pool.answered, pool)
        try:
            await check(pool)
        finally:
            await pool.stop()

    # A browser's driver, in another test, may keep a loop of its own on this thread: set aside.
    other = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        asyncio.run(run())
    finally:
        asyncio._set_running_loop(other)


def test_workers_are_started_while_they_fit(tmp_path: Path) -> None:
    async def check(pool: Stand) -> None:
        await pool.until(lambda: "2 scoring workers instead of 4" in pool.log, "two are enough")
        await pool.settled()

        assert pool.serving == pool.pool.lifecycle.wanted == 2
        assert "one more would need" in pool.log

    stand(tmp_path, check, room_for=2.5)


def test_one_worker_is_started_whether_it_fits_or_not(tmp_path: Path) -> None:
    async def check(pool: Stand) -> None:
        await pool.until(lambda: "1 scoring worker instead of 4" in pool.log, "one")

        assert pool.serving == 1

    stand(tmp_path, check, room_for=0.2)


def test_all_are_started_where_there_is_room(tmp_path: Path) -> None:
    async def check(pool: Stand) -> None:
        await pool.until(lambda: pool.serving == 4, "four")

        assert "instead of" not in pool.log

    stand(tmp_path, check, room_for=8)


def test_workers_that_share_their_model_need_less(tmp_path: Path) -> None:
    """Four that are forked fit where two fresh ones do."""

    async def check(pool: Stand) -> None:
        await pool.until(lambda: pool.serving == 4, "four")

    stand(tmp_path, check, room_for=2.5, preload=True)


def test_workers_times_threads_is_cpus_also_when_memory_lowers_their_number(
    tmp_path: Path,
) -> None:
    """The first had been started as one of four; it is restarted as one of two."""

    async def check(pool: Stand) -> None:
        await pool.until(lambda: pool.shares() == ["2", "2"], "two threads for each of two")
        await pool.settled()

        assert pool.shares() == ["2", "2"]

    stand(tmp_path, check, room_for=2.5)


def test_a_worker_that_dies_is_replaced_within_the_limit(tmp_path: Path) -> None:
    async def check(pool: Stand) -> None:
        ended: list[str] = []
        pool.worker_ended = lambda reason, _text: ended.append(reason)  # type: ignore[assignment]
        await pool.until(lambda: pool.shares() == ["2", "2"], "two")
        await pool.settled()
        os.kill(pool.dispatcher.serving[0].pid, signal.SIGKILL)

        await pool.until(lambda: ended, "its end is noticed")
        await pool.settled()

        assert pool.serving == 2

    stand(tmp_path, check, room_for=2.5)


def test_a_reload_keeps_within_the_limit(tmp_path: Path) -> None:
    """New workers beside the old, while they fit; the others when the old have gone."""

    async def check(pool: Stand) -> None:
        await pool.until(lambda: pool.shares() == ["1", "1", "1"], "three")
        await pool.settled()
        most = [0]

        def count() -> bool:
            most[0] = max(most[0], len(pool.pool.workers))
            return pool.reloads == [True]

        pool.pool.reload()
        await pool.until(count, "reloaded")
        await pool.settled()

        assert pool.serving == 3
        assert most[0] == 4  # room for half a worker: the first is tried all the same
        assert {worker.member.generation for worker in pool.dispatcher.serving} == {2}

    stand(tmp_path, check, room_for=3.5)


# -- a real control group -----------------------------------------------------------------

GROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def control_group(controller: str, **values: str) -> Iterator[Path]:
    """A control group (version 1) of one's own."""
    folder = GROUPS / controller / f"scorehost-test-{os.getpid()}"
    folder.mkdir()
    try:
        for name, value in values.items():
            (folder / name.replace("__", ".")).write_text(value)
        yield folder
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), what="the group is empty")
        folder.rmdir()


def serve_in(folder: Path, group: Path, source: str, **settings: str) -> LiveServer:
    """Serve a script inside a control group."""
    folder.mkdir()
    (folder / "main.py").write_text(source)
    address = Address(port=free_port())
    enter = f'echo $$ > {group}/cgroup.procs; exec "$@"'
    serve = (*SERVE, "--port", str(address.port))
    command = ["sh", "-c", enter, "sh", *serve]
    return LiveServer(command, folder, {"AML_APP_ROOT": str(folder)} | settings, address)


if os.access(GROUPS / "memory" / "cgroup.procs", os.W_OK):

    def test_memory_of_a_real_control_group_decides(tmp_path: Path) -> None:
        with control_group("memory", memory__limit_in_bytes=str(260 << 20)) as group:
            server = serve_in(tmp_path / "app", group, MODEL, WORKER_COUNT="auto")
            try:
                server.wait_ready()
                if (os.cpu_count() or 1) > 1:
                    server.wait_for_line("WORKER_COUNT=auto", "260 MiB of memory")
                assert server.get("/readyz").json()["workers"]["wanted"] <= 2
            finally:
                server.check_stopped()

    def test_a_worker_that_the_kernel_ends_for_want_of_memory(tmp_path: Path) -> None:
        """The counter of the group tells this SIGKILL from any other."""
        hungry = (
            "import json\nkept = []\ndef init(): pass\ndef run(data):\n"
            "    kept.append(b'x' * (json.loads(data) << 20))\n    return len(kept)"
        )
        with control_group("memory", memory__limit_in_bytes=str(200 << 20)) as group:
            swap = group / "memory.memsw.limit_in_bytes"
            if swap.exists():
                swap.write_text(str(200 << 20))
            server = serve_in(tmp_path / "app", group, hungry)
            try:
                server.wait_ready()
                assert server.score(1) == 1

                assert server.post(json=400).status == 500

                server.wait_for_line("memory", "was used up")
                metrics = server.get("/metrics").text
                assert 'scorehost_worker_deaths_total{reason="oom"} 1.0' in metrics
                server.wait_ready()
                assert server.score(1) == 1
            finally:
                server.check_stopped()


if os.access(GROUPS / "cpu" / "cgroup.procs", os.W_OK):

    def test_the_cpus_of_a_real_control_group_decide(tmp_path: Path) -> None:
        quota = {"cpu__cfs_period_us": "100000", "cpu__cfs_quota_us": "150000"}
        with control_group("cpu", **quota) as group:
            server = serve_in(tmp_path / "app", group, MODEL, WORKER_COUNT="auto")
            try:
                server.wait_ready()
                server.wait_for_line("1 scoring worker (WORKER_COUNT=auto)", "allows 1.5")
                assert server.score("OPENBLAS_NUM_THREADS") == "1"
            finally:
                server.check_stopped()


# -- threads ------------------------------------------------------------------------------


def test_the_users_own_number_of_threads_stands(own_server: StartServer) -> None:
    settings = {"OMP_NUM_THREADS": "7", "WORKER_COUNT": "2"}
    server = own_server(files={"main.py": MODEL}, settings=settings)

    cpus = len(os.sched_getaffinity(0))
    assert server.score("OMP_NUM_THREADS") == "7"
    assert server.score("OPENBLAS_NUM_THREADS") == str(max(1, cpus // 2))
    assert server.score("MKL_NUM_THREADS") == str(max(1, cpus // 2))
