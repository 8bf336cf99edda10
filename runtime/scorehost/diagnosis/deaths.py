"""Why a scoring process ended: its status, signal, memory and last stack, put into words.

What this cannot do: look into another container. A process killed from outside and one killed
because the machine itself ran out of memory look alike here, and the text says so.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

from scorehost.diagnosis.frames import Place, kind_of, short_library_path
from scorehost.diagnosis.stacks import running_places
from scorehost.values import bytes_text

SIGNAL: Final = "signal"
OOM: Final = "oom"
EXIT: Final = "exit"
DEADLINE: Final = "deadline"
START_TIMEOUT: Final = "start-timeout"
STOPPED: Final = "stopped"
GARBLED: Final = "garbled"

REASONS: Final = (SIGNAL, OOM, EXIT, DEADLINE, START_TIMEOUT, STOPPED, GARBLED)
"""All reasons: a metric's label must have few values."""

NEARLY_ALL: Final = 0.9
"""A peak above this share of the limit makes a SIGKILL a lack of memory, counter or not."""


@dataclass(frozen=True)
class Death:
    """The end of a process.

    Parameters
    ----------
    reason : one of :data:`REASONS`.
    text : what happened, for the log and the report.
    hint : what is probably wrong and what to do; "" when there is nothing to say.
    outline : what anybody may be told: neither the request nor code of the script.
    """

    reason: str
    text: str
    hint: str = ""
    outline: str = ""


@dataclass(frozen=True)
class _Evidence:
    oom_before: int | None
    oom_after: int | None
    memory_limit: int | None
    peak_bytes: int | None

    @property
    def oom_counted(self) -> bool:
        """Whether the group's counter rose; a container's begins at zero."""
        return (self.oom_after or 0) > (self.oom_before or 0)

    @property
    def nearly_full(self) -> bool:
        """Whether the process alone came close to the limit."""
        limit, peak = self.memory_limit, self.peak_bytes
        return bool(limit and peak and peak >= NEARLY_ALL * limit)


def explain_exit(
    returncode: int,
    *,
    oom_before: int | None = None,
    oom_after: int | None = None,
    memory_limit: int | None = None,
    peak_bytes: int | None = None,
    request_id: str = "",
    stacks: str = "",
    killed_for: str = "",
    start_limit: float = 0.0,
) -> Death:
    """Explain the end of a scoring process.

    Parameters
    ----------
    returncode : as :mod:`subprocess` has it: negative for a signal.
    oom_before, oom_after : the group's count of out-of-memory kills, when this process started
        and now.
    memory_limit, peak_bytes : what the group may use, what this process used at most.
    request_id : the request that was being handled; "" when none was.
    stacks : what faulthandler wrote.
    killed_for : the reason, when the front ended the process itself.
    start_limit : ``WORKER_TIMEOUT`` in seconds, when that was the reason.
    """
    evidence = _Evidence(oom_before, oom_after, memory_limit, peak_bytes)
    inside = f" while it handled request {request_id}" if request_id else ""
    if killed_for == START_TIMEOUT:
        return explain_start_timeout(start_limit, stacks=stacks)
    if killed_for in REASONS:
        outline = _OUR_DOING[killed_for]
        text = f"{outline}{f' (request {request_id})' if request_id else ''}."
        return Death(killed_for, text, _OUR_HINTS.get(killed_for, ""), outline)
    number = _signal_of(returncode)
    if number is None:
        return _exited(returncode, inside)
    if number == signal.SIGKILL and (evidence.oom_counted or evidence.nearly_full):
        return _out_of_memory(evidence, inside)
    if number == signal.SIGKILL:
        outline = "The process was killed (SIGKILL)"
        return Death(SIGNAL, f"{outline}{inside}.", _killed_hint(evidence), outline)
    meaning = f" ({_MEANINGS[number]})" if number in _MEANINGS else ""
    outline = f"The process was killed by {signal_name(number)}{meaning}"
    text = f"{outline}{inside}.{_last_stack(stacks)}"
    return Death(SIGNAL, text, _SIGNAL_HINTS.get(number, _OTHER_SIGNAL), outline)


def explain_start_timeout(limit: float, stage: str = "", stacks: str = "") -> Death:
    """Explain that a script was not ready in time.

    Parameters
    ----------
    limit : ``WORKER_TIMEOUT`` in seconds.
    stage : what it was doing, if that is not said elsewhere.
    stacks : where its threads were.
    """
    during = f" during {stage}" if stage else ""
    outline = f"The script was not ready after {limit:g} s (WORKER_TIMEOUT)"
    text = f"{outline}{during}.{_last_stack(stacks, 'It was')}"
    return Death(START_TIMEOUT, text, _slow_hint(stacks), outline)


def signal_name(number: int) -> str:
    """A signal's name: SIGSEGV."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _signal_of(returncode: int) -> int | None:
    """The signal that ended a process; shells report it as 128 more."""
    if returncode < 0:
        return -returncode
    number = returncode - 128
    fatal = {signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL}
    return number if number in fatal else None


def _exited(status: int, inside: str) -> Death:
    outline = f"The process ended by itself with status {status}"
    hint = "Something called os._exit(0) or ended the main thread. A script must do neither."
    if status != 0:
        hint = (
            "Something ended the process without raising an exception: os._exit(), or a native "
            "library that aborted. The last output may say why."
        )
    return Death(EXIT, f"{outline}{inside}.", hint, outline)


def _out_of_memory(evidence: _Evidence, inside: str) -> Death:
    limit = f" of {bytes_text(evidence.memory_limit)}" if evidence.memory_limit else ""
    peak = f" Its peak was {bytes_text(evidence.peak_bytes)}." if evidence.peak_bytes else ""
    counted = ""
    if evidence.oom_counted:
        before = evidence.oom_before
        change = "is now" if before is None else f"rose from {before} to"
        counted = f" The container's counter of such kills {change} {evidence.oom_after}."
    outline = (
        "Out of memory: the kernel killed the process, because the container's memory"
        f"{limit} was used up"
    )
    return Death(
        OOM,
        f"{outline}{inside}.{peak}{counted}",
        "Give the container more memory, serve with fewer workers (WORKER_COUNT), share one model "
        "between them (WORKER_PRELOAD=true), or load the model in a smaller form.",
        outline,
    )


def _killed_hint(evidence: _Evidence) -> str:
    if evidence.oom_after is None:
        return (
            "The usual cause is a lack of memory: compare the model's size with the container's "
            "memory limit. It can also be kill -9 from outside."
        )
    return (
        "The container's own memory limit was not the cause (its out-of-memory counter did not "
        "change). Either the machine as a whole ran out of memory, or something sent kill -9."
    )


def _last_stack(stacks: str, lead: str = "The last call was") -> str:
    places = [place for place in running_places(stacks) if kind_of(place.file) != "hidden"]
    if not places:
        return ""
    users = next((place for place in places if kind_of(place.file) == "user"), None)
    text = f" {lead} {places[0].where} of {_short(places[0])}"
    if users is not None and users is not places[0]:
        text += f", called from {_short(users)}"
    return text + "."


def _short(place: Place) -> str:
    if kind_of(place.file) == "user":
        return f"{place.file.rpartition('/')[2]}:{place.line}"
    return f"{short_library_path(place.file)}:{place.line}"


def _slow_hint(stacks: str) -> str:
    files = [place.file for place in running_places(stacks)]
    for signs, hint in _SLOW:
        if any(sign in file for sign in signs for file in files[:12]):
            return hint
    return (
        "The stacks show where it was. If it only needs more time, raise WORKER_TIMEOUT; otherwise "
        "load less, or load from a local disk."
    )


_OUR_DOING: Final = {
    SIGNAL: "The process was ended by a signal",
    OOM: "The process was killed because memory ran out",
    EXIT: "The process ended",
    DEADLINE: "The process was killed because run() exceeded SCORING_TIMEOUT_MS and could not be "
    "interrupted",
    STOPPED: "The process was told to stop",
    GARBLED: "The process was killed because something other than the server's own code wrote to "
    "the socket on which it answers",
}
_OUR_HINTS: Final = {
    DEADLINE: "Native code that does not return to Python cannot be interrupted, and neither can "
    "code with a bare except: that swallows the interruption. Make run() do less work per request, "
    "or raise SCORING_TIMEOUT_MS.",
    GARBLED: "The script, or a native library that it uses, writes to a file descriptor that "
    "does not belong to it; often it is one that it closed earlier, whose number is in use again. "
    "The log shows the first bytes.",
}
_MEANINGS: Final[dict[int, str]] = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "arithmetic error",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "termination request",
    signal.SIGHUP: "hang-up",
    signal.SIGQUIT: "quit",
    signal.SIGPIPE: "write to a closed pipe",
    signal.SIGSYS: "forbidden system call",
    signal.SIGTRAP: "trap",
    signal.SIGXCPU: "CPU time limit",
    signal.SIGXFSZ: "file size limit",
    signal.SIGALRM: "alarm",
}
_SIGNAL_HINTS: Final[dict[int, str]] = {
    signal.SIGSEGV: "Native code accessed memory that does not belong to it. Usual causes: "
    "packages built against different versions of each other (numpy, torch), two copies of OpenMP "
    "or BLAS in one process, a corrupt model file. Reinstall the package named last, and try one "
    "thread (OMP_NUM_THREADS=1).",
    signal.SIGABRT: "Native code aborted: an uncaught C++ exception, a failed assertion, or "
    "corrupted memory. Its message, if it wrote one, is in the output.",
    signal.SIGBUS: "Memory backed by a file is no longer available. Usual causes: shared memory "
    "that is too small (docker run --shm-size=1g; in Kubernetes an emptyDir of medium Memory at "
    "/dev/shm), or a model file that was replaced while it was mapped.",
    signal.SIGFPE: "Native code divided by zero, most often in integers.",
    signal.SIGILL: "The processor lacks an instruction that a package was built for, such as AVX "
    "or AVX2 (see the flags in /proc/cpuinfo), or it is emulating another architecture. Use a "
    "build of the package for this processor, or run on a newer one.",
    signal.SIGTERM: "Something asked the process to terminate: a script or a tool that calls kill. "
    "The server itself does not end its workers this way.",
    signal.SIGINT: "Someone pressed Ctrl-C, or a script sent the signal.",
    signal.SIGSYS: "The container's seccomp profile forbids a system call. Run it once with "
    "--security-opt seccomp=unconfined to confirm that.",
    signal.SIGXCPU: "The limit on CPU time (ulimit -t) was reached.",
    signal.SIGXFSZ: "The limit on file size (ulimit -f) was reached.",
    signal.SIGALRM: "The script set an alarm and did not handle the signal.",
}
_OTHER_SIGNAL: Final = "The script, or something outside it, sent that signal."
_SLOW: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (
        ("debugpy", "ptvsd", "pydevd"),
        "It is waiting for a debugger. Attach one, or remove wait_for_client() or "
        "wait_for_attach().",
    ),
    (
        ("urllib3", "/requests/", "/http/client.py", "/ssl.py", "/socket.py", "urllib/request.py"),
        "It is waiting for the network. Containers often have no access to it: put what is "
        "downloaded into the image or the model's folder.",
    ),
    (
        ("/subprocess.py", "/multiprocessing/"),
        "It is waiting for another process. Check whether that process hangs or waits for input.",
    ),
    (
        ("joblib/numpy_pickle", "/pickle.py", "torch/serialization", "safetensors"),
        "It was loading a model. Raise WORKER_TIMEOUT, or load from a local disk: a mounted share "
        "is often slow.",
    ),
    (
        ("/threading.py", "/queue.py", "concurrent/futures"),
        "It is waiting for one of its own threads. A lock that is acquired twice, or a thread "
        "that died, can cause this.",
    ),
)
