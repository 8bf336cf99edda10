"""The scoring processes on the event loop: they are started or forked, heard, and reaped.

What follows from the end of one is ``pool.py``'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from scorehost.errors import FrameError
from scorehost.front.observe.log import Log
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.launcher import Launcher
from scorehost.front.workers.leftovers import ENDING_TAKES, STEP, Adopted, ending
from scorehost.front.workers.script_output import ScriptOutput
from scorehost.wire.answers import CHILD_ENDED, STREAM_END, AnswerFrame

TakeAnswers: TypeAlias = Callable[[WorkerHandle, Sequence[AnswerFrame]], None]


class Listener(Protocol):
    """What is told what the processes say and do; ``pool.py`` documents the methods."""

    def control_frame(self, handle: WorkerHandle, frame: AnswerFrame) -> None: ...
    def process_ended(self, handle: WorkerHandle) -> None: ...


@dataclass
class _Watched:
    output: ScriptOutput
    process: subprocess.Popen[bytes] | None = None  # None when forked: the loader reaps it
    pid_file: int = -1


class Processes:
    """Every scoring process that has not ended; ``log`` gets what they print.

    Attributes
    ----------
    take_answers : takes what a worker answers, oldest first; set before the first one starts.
    """

    take_answers: TakeAnswers

    def __init__(
        self, loop: asyncio.AbstractEventLoop, launcher: Launcher, log: Log, listener: Listener
    ) -> None:
        self._loop = loop
        self._launcher = launcher
        self._log = log
        self._listener = listener
        self._watched: dict[WorkerHandle, _Watched] = {}
        self._forking: dict[WorkerHandle, deque[WorkerHandle]] = {}
        """The handles that each loader was asked to fork a process for, and has not yet."""
        self._adopted = Adopted(lambda: (handle.member for handle in self._watched))
        self._ending: asyncio.Task[None] | None = None

    # -- beginning ----------------------------------------------------------------------------

    def start(self, handle: WorkerHandle, role: str = "worker") -> None:
        """Start a fresh interpreter.

        Raises
        ------
        OSError
            The system can't start another process; the handle is closed then.
        """
        try:
            process = self._launcher.start(handle, role)
        except OSError:
            handle.close()
            raise
        watched = self._watch(handle)
        watched.process = process
        watched.pid_file = os.pidfd_open(process.pid)
        self._loop.add_reader(watched.pid_file, self._exited, handle)

    def fork(self, loader: WorkerHandle, handle: WorkerHandle) -> None:
        """Ask the loader to fork a process for this handle; it reports the pid later.

        Raises
        ------
        OSError
            The loader can't be asked; the handle is closed then.
        """
        try:
            self._launcher.fork(loader, handle)
        except OSError:
            handle.close()
            raise
        self._forking.setdefault(loader, deque()).append(handle)
        self._watch(handle)

    def forked(self, loader: WorkerHandle, pid: int) -> WorkerHandle:
        """Note the pid of the loader's oldest pending fork, 0 when it failed; return its handle.

        Raises
        ------
        FrameError
            Nothing was to be forked.
        """
        if not self._forking.get(loader):
            raise FrameError("reported a fork that it was not asked for")
        handle = self._forking[loader].popleft()
        handle.member.pid = pid
        if handle in self._watched:
            self._watched[handle].output.pid = pid
        if handle.kill_reason:  # that was decided before the pid was known
            handle.kill(handle.kill_reason)
        return handle

    def _watch(self, handle: WorkerHandle) -> _Watched:
        output = ScriptOutput(handle.output, self._log, handle.shared, handle.last_lines)
        output.pid = handle.pid
        watched = self._watched[handle] = _Watched(output)
        self._loop.add_reader(handle.output, self._read_output, handle, output)
        handle.hear = partial(self._hear_or_not, handle)
        handle.hear(True)
        return watched

    # -- hearing ------------------------------------------------------------------------------

    def _hear_or_not(self, handle: WorkerHandle, listen: bool) -> None:
        """Read what the process says as it comes, or leave it in the socket."""
        if handle not in self._watched:
            return
        if listen:
            self._loop.add_reader(handle.answers.fileno(), self._read_answers, handle)
        else:
            self._loop.remove_reader(handle.answers.fileno())

    def _read_output(self, handle: WorkerHandle, output: ScriptOutput) -> None:
        if not output.read(request_inside(handle)):
            self._loop.remove_reader(handle.output)

    def _read_answers(self, handle: WorkerHandle) -> None:
        self._hear(handle, handle.read_answers())
        if handle.silent:
            # A closed end, or a dead process, would make the loop spin.
            self._loop.remove_reader(handle.answers.fileno())

    def _hear(self, handle: WorkerHandle, found: list[AnswerFrame]) -> None:
        answers = [frame for frame in found if not STREAM_END < frame.kind <= CHILD_ENDED]
        if len(answers) < len(found):
            for frame in found:
                if STREAM_END < frame.kind <= CHILD_ENDED:
                    self._listener.control_frame(handle, frame)
        if answers:
            self.take_answers(handle, answers)

    # -- ending -------------------------------------------------------------------------------

    def _exited(self, handle: WorkerHandle) -> None:
        process = self._watched[handle].process
        code = None if process is None else process.poll()
        if code is not None:
            self.ended(handle, code)

    def ended(self, handle: WorkerHandle, code: int) -> None:
        """Read everything that a process has left, tell the listener of its end, and close."""
        handle.returncode = code
        self._hear(handle, handle.drain_answers())
        watched = self._watched.pop(handle)
        self._forking.pop(handle, None)
        self._loop.remove_reader(handle.answers.fileno())
        self._loop.remove_reader(handle.output)
        watched.output.drain(request_inside(handle))
        if watched.pid_file >= 0:
            self._loop.remove_reader(watched.pid_file)
            os.close(watched.pid_file)
        self._listener.process_ended(handle)
        handle.close()
        if handle.pid:
            self._adopted.ended(handle.member)
        if self._ending is None or self._ending.done():
            self._ending = self._loop.create_task(self._end_leftovers())

    async def _end_leftovers(self) -> None:
        """End the processes that a script has started and that its worker has left."""
        for _ in ending(self._adopted.find, self._log.warning, self._loop.time):
            await asyncio.sleep(STEP)
        self._adopted.settled()

    async def leftovers_ended(self) -> None:
        """Return when the processes that ended workers have left have ended, within a bound."""
        if self._ending is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ending, ENDING_TAKES)

    def reap_adopted(self) -> None:
        """Reap orphans that have ended; called once a second."""
        self._adopted.reap()


def request_inside(handle: WorkerHandle) -> str:
    """Return the id of the request that the worker is in now, or ""."""
    exchange = handle.in_flight.get(handle.shared.begun)  # numbers begin with 1; 0 is none
    return "" if exchange is None else exchange.request_id.decode("latin-1")
