"""gunicorn's part: the process that keeps the front alive.

gunicorn opens the sockets, drops privileges, watches the front's heartbeat and restarts it if it
dies. What it must not decide is fixed here: there is exactly one front, its heartbeat has nothing
to do with ``run()``, and HUP reloads the scoring workers.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import time
from functools import partial
from typing import Any, Final

import gunicorn.arbiter
import gunicorn.errors
import gunicorn.glogging
from gunicorn.app.base import BaseApplication
from gunicorn.workers.base import Worker

from scorehost.backoff import Backoff
from scorehost.front.http.addresses import addresses
from scorehost.front.observe.log import Log, LogBridge
from scorehost.front.observe.writer import LogWriter
from scorehost.front.supervision import NEVER_READY
from scorehost.front.workers.leftovers import STEP, adopt_orphans, ending, marked_orphans
from scorehost.profile import Profile
from scorehost.settings import Settings

HEARTBEAT: Final = 60
"""Seconds of silence after which the arbiter replaces the front. The front never blocks, so
only a stalled machine makes it silent."""
_IN_MEMORY: Final = "/dev/shm"  # noqa: S108 - gunicorn makes and unlinks its file safely
"""The heartbeat file's folder: a disk may be slow, full or read-only."""
HEARD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
"""Signals that the front acts on; they stay pending until it can."""
_SECOND_PAUSE: Final = 1.0
"""Seconds to wait before restarting the front after its second end."""


class Application(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """Our settings as gunicorn's; ``environ`` is the environment of the scoring processes."""

    def __init__(
        self,
        settings: Settings,
        profile: Profile,
        environ: dict[str, str],
        worker_class: type[Worker],
    ) -> None:
        self._worker_class = worker_class
        self.settings = settings
        self.profile = profile
        self.environ = environ
        self.outcome = mmap.mmap(-1, 3)
        """Shared by arbiter and front: exit status; whether a front has ever served; whether
        the arbiter has closed its copies of the sockets."""
        super().__init__()

    def load_config(self) -> None:
        """Apply GUNICORN_CMD_ARGS, then the values that they must not override."""
        # gunicorn sets its own umask for a UNIX socket: 0, so that everybody may connect.
        self.cfg.set("umask", umask())
        parser = self.cfg.parser()
        given = parser.parse_args(self.cfg.get_cmd_args_from_env())
        for name, value in vars(given).items():
            if value is not None and name != "args":
                self.cfg.set(name, value)
        settings = self.settings
        fixed: dict[str, Any] = {
            "bind": addresses(settings),
            "workers": 1,
            "worker_class": self._worker_class,
            "timeout": HEARTBEAT,
            "graceful_timeout": int(settings.shutdown_grace) + 3,
            "preload_app": False,
            "reload": False,
            "max_requests": 0,
            "proc_name": "scorehost",
            "default_proc_name": "scorehost",
            "logger_class": _arbiter_log(settings, self.profile),
            "loglevel": "debug" if settings.log_level == "DEBUG" else "warning",
            "control_socket_disable": True,
        }
        if os.access(_IN_MEMORY, os.W_OK):
            fixed["worker_tmp_dir"] = _IN_MEMORY
        if settings.tls_certificate is not None:
            fixed["certfile"] = str(settings.tls_certificate)
            fixed["keyfile"] = str(settings.tls_key or settings.tls_certificate)
        for name, value in fixed.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> None: ...


class _Halted(Exception):
    pass


class Arbiter(gunicorn.arbiter.Arbiter):  # type: ignore[misc]
    """Keeps exactly one front alive."""

    exit_status = 0
    reexec_pid: int

    def __init__(self, app: Application) -> None:
        self._backoff = Backoff(_SECOND_PAUSE)
        self._next_start = 0.0
        self._ended: list[int] = []
        """Fronts that have ended, and may have left processes of scripts."""
        self._files: dict[str, tuple[int, int]] = {}
        """The files of UNIX sockets as they were made, each with its device and inode."""
        super().__init__(app)

    def start(self) -> None:
        """Open the sockets."""
        super().start()
        self._note_files()

    def _note_files(self) -> None:
        for name in filter(None, map(_file_name, self.LISTENERS)):
            self._files[name] = _identity(name)

    def serve(self) -> int:
        """Run the server and return its exit status."""
        adopt_orphans()  # of a front that is killed
        try:
            self.run()
        except _Halted:
            pass
        except SystemExit as leaving:  # how gunicorn exits when the sockets can't be opened
            if os.getpid() != self.pid:  # the front, which gunicorn ends by the same means
                raise
            return leaving.code if isinstance(leaving.code, int) and leaving.code > 0 else 1
        return self.exit_status

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        self.app.outcome[2] = not self.systemd  # systemd keeps its own copies open
        self._let_go_of_lost_sockets()
        self.stop()
        self._end_leftovers()
        if self.pidfile is not None:
            self.pidfile.unlink()
        self.exit_status = exit_status or self.app.outcome[0]
        if reason and not self.app.outcome[0]:
            self.log.error("server stopping: %s", reason)
        raise _Halted

    def _let_go_of_lost_sockets(self) -> None:
        """Close UNIX sockets whose file is gone: gunicorn would unlink what is there instead."""
        for listener in list(self.LISTENERS):
            name = _file_name(listener)
            if name and _identity(name) != self._files.get(name):
                self.LISTENERS.remove(listener)
                listener.sock.close()

    def spawn_worker(self) -> Any:
        """Start the front, with the signals blocked that it can't handle yet."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def reap_workers(self) -> None:
        """Reap the front, and as PID 1 whatever orphan the kernel hands over.

        The status of an orphan means nothing; gunicorn before 23.1 ended the server when one
        left with 3 or 4.
        """
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self.reexec_pid:
                    self.reexec_pid = 0
                front = self.WORKERS.pop(pid, None)
                if front is not None:
                    front.tmp.close()
                    self._ended.append(pid)
                    self._front_ended(pid, os.waitstatus_to_exitcode(status))

    def _front_ended(self, pid: int, code: int) -> None:
        if self.app.outcome[0]:
            raise gunicorn.errors.HaltServer("the entry script failed to start", NEVER_READY)
        if code and not self.app.outcome[1]:
            raise gunicorn.errors.HaltServer(
                f"the HTTP process failed to start (exit status {code})", 1
            )
        if code:
            pause = self._backoff.after_end(time.monotonic())
            self._next_start = time.monotonic() + pause
            self.log.error(
                "the HTTP process (pid %s) exited with status %s; restarting the HTTP process%s",
                pid, code, f" in {pause:.0f} s" if pause else "",
            )  # fmt: skip

    def spawn_workers(self) -> None:
        """Start the front, but not during the pause after one that keeps ending."""
        self._end_leftovers()
        if time.monotonic() >= self._next_start:
            super().spawn_workers()

    def _end_leftovers(self) -> None:
        """End the processes of scripts that a front has not ended, as it was killed."""
        while self._ended:
            find = partial(marked_orphans, self._ended[0])
            for _ in ending(find, self.log.warning, time.monotonic):
                time.sleep(STEP)
            del self._ended[0]

    def handle_hup(self) -> None:
        """Reload the scoring workers; front and sockets stay."""
        self.kill_workers(signal.SIGHUP)

    def handle_int(self) -> None:
        """Ctrl-C stops as gently as TERM does; a second one doesn't wait."""
        raise StopIteration

    def handle_ttin(self) -> None:
        self.log.warning(
            "TTIN and TTOU are ignored; set WORKER_COUNT to change the number of scoring workers"
        )

    handle_ttou = handle_ttin


def umask() -> int:
    """Return this process's umask, which can be read only by setting another."""
    current = os.umask(0o077)
    os.umask(current)
    return current


def _file_name(listener: Any) -> str:
    """Return the file of a listening socket; "" when it has none."""
    name = listener.sock.getsockname()
    return name if isinstance(name, str) else ""


def _identity(name: str) -> tuple[int, int]:
    """Return a file's device and inode, which identify it; zeros if it does not exist."""
    try:
        facts = os.lstat(name)
    except OSError:
        return 0, 0
    return facts.st_dev, facts.st_ino


def log_without_threads(settings: Settings, profile: Profile) -> Log:
    """Return a log for a process that forks."""
    writer = LogWriter(2)
    writer.close()  # without its thread it writes at once
    return Log(writer, settings.log_level, settings.log_format, profile.log_style)


def _arbiter_log(settings: Settings, profile: Profile) -> type:
    """Return a logger class for gunicorn that passes everything to our log."""
    log = log_without_threads(settings, profile)

    class ArbiterLog(gunicorn.glogging.Logger):  # type: ignore[misc]
        """gunicorn's logger with one handler and no files."""

        def setup(self, cfg: Any) -> None:
            self.loglevel = logging.getLevelName(cfg.loglevel.upper())
            self.error_log.handlers = [LogBridge(log)]
            self.error_log.propagate = False
            self.error_log.setLevel(self.loglevel)

        def reopen_files(self) -> None: ...
        def close_on_exec(self) -> None: ...

    return ArbiterLog
