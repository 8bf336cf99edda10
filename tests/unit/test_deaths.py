"""Why a process ended: reason, text and hint for every way there is."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import scorehost
from scorehost.diagnosis.deaths import (
    REASONS,
    Death,
    explain_exit,
    explain_start_timeout,
    signal_name,
)
from scorehost.diagnosis.stacks import frames_of_stacks, running_places, without_our_frames
from scorehost.values import bytes_text

MIB = 1 << 20
OURS = Path(scorehost.__file__).with_name("entry_script.py")

STACKS = f"""\
Fatal Python error: Segmentation fault

Thread 0x00007f0001 (most recent call first):
  File "{OURS}", line 10 in watch
  File "{threading.__file__}", line 982 in run

Thread 0x00007f0002 (most recent call first):
  File "/venv/lib/python3.11/site-packages/torch/pool.py", line 7 in work

Current thread 0x00007f0003 (most recent call first):
  File "/venv/lib/python3.11/site-packages/lightgbm/basic.py", line 812 in __init__
  File "/app/score.py", line 9 in init
  File "{OURS}", line 99 in run_init
  File "<frozen runpy>", line 88 in _run_code

Extension modules: numpy._core._multiarray_umath (total: 1)
"""


class TestSignals:
    """Named, with what they usually mean."""

    @pytest.mark.parametrize(
        ("number", "phrase", "advice"),
        [
            (signal.SIGSEGV, "SIGSEGV (segmentation fault)", "OMP_NUM_THREADS=1"),
            (signal.SIGILL, "SIGILL (illegal instruction)", "AVX"),
            (signal.SIGABRT, "SIGABRT (aborted)", "C++ exception"),
            (signal.SIGBUS, "SIGBUS (bus error)", "--shm-size=1g"),
            (signal.SIGFPE, "SIGFPE (arithmetic error)", "divided by zero"),
            (signal.SIGTERM, "SIGTERM (termination request)", "asked the process to terminate"),
            (signal.SIGSYS, "SIGSYS (forbidden system call)", "seccomp"),
            (signal.SIGUSR1, "SIGUSR1", "sent that signal"),
            (signal.SIGRTMIN + 9, "signal", "sent that signal"),
        ],
    )
    def test_named(self, number: int, phrase: str, advice: str) -> None:
        death = explain_exit(-number)

        assert death.reason == "signal"
        assert phrase in death.text
        assert advice in death.hint

    def test_as_a_shell_reports_it(self) -> None:
        """139 is what a shell makes of SIGSEGV; 130 may be anything."""
        assert "SIGSEGV" in explain_exit(139).text
        assert explain_exit(130).reason == "exit"

    def test_names_the_last_call(self) -> None:
        """The library that crashed, and the user's line that called it."""
        death = explain_exit(-signal.SIGSEGV, stacks=STACKS, request_id="r-1")

        assert death.text == (
            "The process was killed by SIGSEGV (segmentation fault) while it handled request r-1. "
            "The last call was in __init__() of lightgbm/basic.py:812, called from score.py:9."
        )

    def test_every_signal_has_a_name(self) -> None:
        assert {signal_name(number) for number in range(1, 65)} >= {"SIGKILL", "signal 40"}


class TestKilled:
    """SIGKILL has no voice of its own: the counters speak."""

    def test_out_of_memory(self) -> None:
        """The counter rose."""
        death = explain_exit(
            -signal.SIGKILL,
            oom_before=2,
            oom_after=3,
            memory_limit=512 * MIB,
            peak_bytes=505 * MIB,
            request_id="r-1",
        )

        assert death.reason == "oom"
        assert death.text == (
            "Out of memory: the kernel killed the process, because the container's memory of "
            "512.0 MiB was used up while it handled request r-1. Its peak was 505.0 MiB. "
            "The container's counter of such kills rose from 2 to 3."
        )
        assert "WORKER_PRELOAD=true" in death.hint

    def test_out_of_memory_without_a_counter(self) -> None:
        """A peak near the limit is enough."""
        near = explain_exit(-signal.SIGKILL, memory_limit=512 * MIB, peak_bytes=500 * MIB)
        far = explain_exit(-signal.SIGKILL, memory_limit=512 * MIB, peak_bytes=100 * MIB)

        assert (near.reason, far.reason) == ("oom", "signal")

    def test_the_first_death_of_a_container(self) -> None:
        """Nobody looked before; a container's count begins at zero."""
        death = explain_exit(-signal.SIGKILL, oom_before=None, oom_after=1)

        assert death.reason == "oom"
        assert "kills is now 1." in death.text

    def test_killed_from_outside(self) -> None:
        """The counter stood still, so it was not this container's limit."""
        death = explain_exit(-signal.SIGKILL, oom_before=3, oom_after=3)

        said = "The process was killed (SIGKILL)"
        assert death == Death("signal", f"{said}.", death.hint, said)
        assert "its out-of-memory counter did not change" in death.hint

    def test_nobody_knows(self) -> None:
        """Without a counter the usual cause is named as such."""
        assert "The usual cause is a lack of memory" in explain_exit(-signal.SIGKILL).hint


@pytest.mark.parametrize(("status", "phrase"), [(0, "os._exit(0)"), (1, "native library")])
def test_ended_by_itself(status: int, phrase: str) -> None:
    """Neither a signal nor an exception."""
    death = explain_exit(status)

    assert death.reason == "exit"
    assert f"with status {status}." in death.text
    assert phrase in death.hint


@pytest.mark.parametrize("reason", REASONS)
def test_ended_by_the_front(reason: str) -> None:
    """The front knows why, whatever the signal was."""
    death = explain_exit(-signal.SIGKILL, killed_for=reason, start_limit=300)

    assert death.reason == reason
    assert death.text


def test_an_unknown_reason_is_no_label() -> None:
    """A metric's label has few values."""
    assert explain_exit(-signal.SIGKILL, killed_for="whim").reason == "signal"


class TestSlowStart:
    """Where it was tells why."""

    @pytest.mark.parametrize(
        ("file", "phrase"),
        [
            ("/x/site-packages/urllib3/connection.py", "waiting for the network"),
            ("/x/site-packages/debugpy/server/api.py", "Attach one"),
            ("/x/site-packages/joblib/numpy_pickle.py", "was loading a model"),
            ("/usr/lib/python3.11/subprocess.py", "another process"),
            ("/usr/lib/python3.11/threading.py", "its own threads"),
            ("/app/features.py", "raise WORKER_TIMEOUT"),
        ],
    )
    def test_hint(self, file: str, phrase: str) -> None:
        stacks = (
            "Thread 0x00007f0003 (most recent call first):\n"
            f'  File "{file}", line 812 in wait\n  File "/app/score.py", line 9 in init\n'
        )

        death = explain_start_timeout(300, "init()", stacks)

        assert death.reason == "start-timeout"
        assert death.text.startswith(
            "The script was not ready after 300 s (WORKER_TIMEOUT) during init(). It was in wait()"
        )
        assert phrase in death.hint


class TestStacks:
    """What faulthandler writes, for the user's eyes."""

    def test_ours_are_left_out(self) -> None:
        """Threads without the user's or a package's code are not shown at all."""
        assert without_our_frames(STACKS, Path("/app")).splitlines() == [
            "Fatal Python error: Segmentation fault",
            "Thread (most recent call first):",
            "  torch/pool.py:7 in work",
            "Current thread (most recent call first):",
            "  lightgbm/basic.py:812 in __init__",
            "  score.py:9 in init",
        ]

    def test_the_running_thread(self) -> None:
        assert [place.function for place in running_places(STACKS)] == [
            "__init__", "init", "run_init", "_run_code",
        ]  # fmt: skip

    def test_the_main_thread_stands_last(self) -> None:
        """A dump that another thread asked for: the user's own last one counts."""
        stacks = STACKS.replace("Current thread", "Thread")

        assert running_places(stacks)[0].function == "__init__"

    def test_nothing(self) -> None:
        assert running_places("") == []
        assert without_our_frames("", Path("/app")) == ""
        assert frames_of_stacks("no stacks here", Path("/app")) == []

    def test_from_a_real_crash(self, tmp_path: Path) -> None:
        """Whatever this Python writes, the user's frames are found in it."""
        script = tmp_path / "score.py"
        script.write_text("import ctypes\n\n\ndef init():\n    ctypes.string_at(0)\n\n\ninit()\n")
        ended = subprocess.run(
            [sys.executable, "-X", "faulthandler", str(script)],
            capture_output=True,
            text=True,
            check=False,
        )

        frames = frames_of_stacks(ended.stderr, tmp_path)

        assert ended.returncode == -signal.SIGSEGV
        assert [(frame.file, frame.line) for frame in frames] == [("score.py", 8), ("score.py", 5)]
        assert frames[-1].source[-1] == (5, "    ctypes.string_at(0)")
        death = explain_exit(ended.returncode, stacks=ended.stderr)
        assert "of ctypes/__init__.py:" in death.text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(12, "12 bytes"), (2048, "2.0 KiB"), (300 * MIB, "300.0 MiB"), (5 << 30, "5.0 GiB")],
)
def test_amounts(amount: int, text: str) -> None:
    assert bytes_text(amount) == text
