"""The parent's side of ``scorehost check``: start the child, hear it, explain its end.

What the script prints and what the child tells come through two pipes. The child waits after
each thing it tells until it was heard, so the two are read in the order in which they happened.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import IO, Any, Protocol

from scorehost.diagnosis.cgroup import read_limits
from scorehost.diagnosis.deaths import DEADLINE, Death, explain_exit, explain_start_timeout
from scorehost.diagnosis.report import Report, report_death
from scorehost.settings import Settings

_COMMAND = (
    "import sys\n"
    "if sys.path and sys.path[0] == '': del sys.path[0]\n"  # a user's json.py is not Python's
    "from scorehost.commands.check_child import main\n"
    "main()"
)
STACKS_TAKE = 0.5
"""Seconds after a deadline for the child to write its stacks, before it is killed."""
ENDING_TAKES = 1.0
"""Seconds for the child to end by itself when it has told everything."""
KEPT_LINES = 40


class Log(Protocol):
    """Hears what happens, while it happens."""

    def step(self, event: Mapping[str, Any]) -> None:
        """A step was done, failed or had nothing to do."""

    def script_wrote(self, line: str) -> None:
        """The script wrote a line."""


class CheckProcess:
    """One check in a process of its own.

    Parameters
    ----------
    settings : as serving would have them.
    sample : file and media type of the request to try, if one was given.
    environ : the environment of the script.
    log : hears of each step and each line of output.
    """

    def __init__(
        self,
        settings: Settings,
        sample: Mapping[str, str] | None,
        environ: Mapping[str, str],
        log: Log,
    ) -> None:
        self._settings, self._environ, self._log = settings, dict(environ), log
        self._order = {"settings": settings.to_json(), "sample": sample}
        self._step = "start"
        self._report: Report | None = None
        self._finished = False
        self._out_of_time = False
        self._limits = read_limits()
        self._lines: list[str] = []
        self._partial = b""

    def run(self) -> Report | None:
        """Check; the report when the script failed."""
        with tempfile.TemporaryFile() as stacks:
            process = self._start(stacks)
            try:
                self._hear(process)
            finally:
                if process.poll() is None:
                    process.kill()
                code = process.wait()
                self._close()
            if self._finished:
                return self._report
            stacks.seek(0)
            return self._died(code, stacks.read().decode("utf-8", "replace"))

    # -- the process ----------------------------------------------------------------------

    def _start(self, stacks: IO[bytes]) -> subprocess.Popen[bytes]:
        self._told, told = os.pipe()
        heard, self._heard = os.pipe()
        passed = (told, heard, stacks.fileno())
        words = [str(word) for word in (*passed, os.getpid())]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-c", _COMMAND, *words],
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environ,
            start_new_session=True,  # a terminal's Ctrl-C is ours to handle, not the script's
        )
        os.close(told)
        os.close(heard)
        os.write(self._heard, json.dumps(self._order).encode() + b"\n")
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        self._output = process.stdout
        os.set_blocking(self._output.fileno(), False)
        return process

    def _close(self) -> None:
        os.close(self._told)
        os.close(self._heard)
        self._output.close()

    # -- hearing --------------------------------------------------------------------------

    def _hear(self, process: subprocess.Popen[bytes]) -> None:
        """Read both pipes until the child has told everything, died, or is out of time."""
        self._set_deadline(self._settings.worker_timeout)
        with selectors.DefaultSelector() as selector:
            selector.register(self._told, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            rest = b""
            while not self._finished:
                ready = {key.fd for key, _ in selector.select(self._time_left())}
                if self._output.fileno() in ready and not self._read_output():
                    selector.unregister(self._output)
                if self._told in ready:
                    data = os.read(self._told, 1 << 16)
                    if not data:
                        break
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self._event(json.loads(line))
                if not ready and self._time_left() == 0:
                    self._out_of_time = True
                    process.kill()
                    break
        self._wait(process)
        self._read_output()
        self._end_line()

    def _event(self, event: dict[str, Any]) -> None:
        self._read_output()
        self._end_line()
        self._step = event["step"]
        state = event["state"]
        if state == "failed":
            self._report = Report.from_dict(event["report"])
        if state == "begin":
            self._limit_step()
        elif state != "end":
            self._log.step(event)
        self._finished = state in {"failed", "end"}
        os.write(self._heard, b"\n")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(ENDING_TAKES)
        except subprocess.TimeoutExpired:  # a thread of the script's goes on
            process.kill()

    # -- what it prints -------------------------------------------------------------------

    def _read_output(self) -> bool:
        """Read what is there; False at the end of the pipe."""
        while True:
            try:
                data = os.read(self._output.fileno(), 1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                self._wrote(line)

    def _end_line(self) -> None:
        if self._partial:
            self._wrote(self._partial)
            self._partial = b""

    def _wrote(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace").rstrip("\r")
        self._lines = [*self._lines[1 - KEPT_LINES :], text]
        self._log.script_wrote(text)

    # -- time -----------------------------------------------------------------------------

    @property
    def _starting(self) -> bool:
        return self._step not in {"swagger", "run", "encode"}

    def _limit_step(self) -> None:
        if self._step == "read":  # as the child counts: not the start of its interpreter
            self._set_deadline(self._settings.worker_timeout)
        elif self._step == "run":
            self._set_deadline(self._settings.scoring_timeout_ms / 1000)
        elif not self._starting and self._step != "encode":  # which is part of the scoring
            self._set_deadline(0)

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds + STACKS_TAKE if seconds else None

    def _time_left(self) -> float | None:
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - time.monotonic())

    # -- the end --------------------------------------------------------------------------

    def _died(self, code: int, stacks: str) -> Report:
        """The child told nothing more: say why."""
        death = self._explain(code, stacks)
        self._log.step({"step": self._step, "state": "failed"})
        return report_death(
            stage=self._step,
            script=self._settings.script,
            cause=death.text,
            hint=death.hint,
            stacks=stacks,
            output="\n".join(self._lines),
            app_root=self._settings.root,
        )

    def _explain(self, code: int, stacks: str) -> Death:
        settings = self._settings
        if self._out_of_time and self._starting:
            return explain_start_timeout(settings.worker_timeout, self._step, stacks)
        if self._out_of_time:
            limit = f"{settings.scoring_timeout_ms} ms (SCORING_TIMEOUT_MS)"
            return Death(DEADLINE, f"The sample was not answered after {limit}.")
        now = read_limits()
        return explain_exit(
            code,
            oom_before=self._limits.oom_kills,
            oom_after=now.oom_kills,
            memory_limit=now.memory_bytes,
            peak_bytes=peak_of_children(),
            stacks=stacks,
        )


def peak_of_children() -> int:
    """The most memory that any child held, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2) there and on Linux
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
