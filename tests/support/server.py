"""A real server: ``python -m scorehost serve`` as a process of its own, on a free port."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from support.client import Address, Connection
from support.processes import in_session, listening_ports
from support.pythons import SCRIPTS_PYTHON, SERVER_PYTHON
from support.requests import Requests
from support.wait import wait_until

SCRIPTS = Path(__file__).parents[1] / "scripts"
COMMANDS = Path(SERVER_PYTHON).parent
SERVE = (SERVER_PYTHON, "-m", "scorehost", "serve")

STOP_WITHIN = 20.0
"""Seconds from SIGTERM to the end; every script of the tests returns sooner."""

OURS_TO_FIX = re.compile(
    r"Exception in callback|never retrieved|never awaited|Exception ignored|ResourceWarning"
    r"|Unhandled exception|Task was destroyed"
)
"""What asyncio and the interpreter say when the server forgot something."""

_SETTING = re.compile(
    r"(AML|AZUREML|SCOREHOST|SERVICE|SERVER|WORKER|APP_INSIGHTS|GUNICORN|PYTHON)_\w+"
    r"|HEALTH_PORT|SCORING_TIMEOUT_MS|WORKSPACE_NAME|HOSTNAME|WEB_CONCURRENCY|PYTEST\w*|COV_\w+"
)

PORTS_EACH = 1500


def ports_of(worker: str, pid: int) -> Iterator[int]:
    """The ports of one of pytest's processes, which no other one tries; each comes again at last.

    They are below the range from which the kernel takes a client's port. What listens on one is
    seen, but what is about to listen is not: so two processes must not try the same one at once.
    """
    number = int(worker.removeprefix("gw")) % 8
    first = 20_000 + number * PORTS_EACH
    begin = pid * 37 % PORTS_EACH
    return itertools.cycle(first + (begin + each) % PORTS_EACH for each in range(PORTS_EACH))


_ports = ports_of(os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.getpid())


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: the ports go round")


def clean_environment(settings: Mapping[str, str] = {}) -> dict[str, str]:
    """This process's environment without any setting, and then these."""
    kept = {name: value for name, value in os.environ.items() if not _SETTING.fullmatch(name)}
    if SCRIPTS_PYTHON in os.environ:  # the same tests, their scripts in another Python
        kept["SCOREHOST_PYTHON"] = os.environ[SCRIPTS_PYTHON]
    # Strict about what the server itself leaves behind; the script's output stays unbuffered
    # or buffered as it would be for a user.
    return kept | dict(settings)


def script_file(name: str) -> Path:
    """The entry script of this name."""
    for folder in (SCRIPTS / "served", SCRIPTS):
        if (folder / name).is_file():
            return folder / name
    raise AssertionError(f"there is no tests/scripts/{name}")


def fill(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files, with their folders."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


class LiveServer(Requests):
    """A server process, its log, and requests to it.

    Parameters
    ----------
    command : what to run.
    folder : the working directory; logs are kept beside it.
    settings : environment variables besides the ordinary ones.
    address : where it will listen.
    output : a descriptor that takes both outputs instead of the files.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        settings: Mapping[str, str],
        address: Address,
        output: int | None = None,
    ) -> None:
        self.folder, self.address, self.command = folder, address, tuple(command)
        self._connections: list[Connection] = []
        self._listened = False
        self._out = folder.with_name(folder.name + ".out")
        self._err = folder.with_name(folder.name + ".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                self.command,
                cwd=folder,
                env=clean_environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=out if output is None else output,
                stderr=err if output is None else output,
                start_new_session=True,
            )

    @classmethod
    def serve(
        cls,
        folder: Path,
        script: str = "",
        *,
        settings: Mapping[str, str] = {},
        arguments: Iterable[str] = (),
        files: Mapping[str, str | bytes] = {},
        address: Address | None = None,
        shell: str = "",
        output: int | None = None,
    ) -> LiveServer:
        """Put a script into an app root of its own and serve it.

        Parameters
        ----------
        folder : becomes the app root and the working directory; made here.
        script : name of an entry script of the tests; "" when the files hold it.
        settings, arguments : environment variables and command line.
        files : more files of the app root.
        address : where to listen; a free port unless given.
        shell : a line for bash that runs the command, which it finds as ``"$@"``.
        output : see the class.
        """
        folder.mkdir()
        fill(folder, files)
        if script:
            shutil.copy(script_file(script), folder / script)
        address = address or Address(port=free_port())
        listen = ["--port", str(address.port)] if address.path is None else []
        command = [*SERVE, *([script] if script else []), *listen, *arguments]
        if shell:
            command = ["bash", "-c", shell, "serve", *command]
        environment = {"AML_APP_ROOT": str(folder)} | dict(settings)
        return cls(command, folder, environment, address, output)

    # -- its log --------------------------------------------------------------------------

    @property
    def out(self) -> str:
        """Everything on standard output so far."""
        return self._out.read_text("utf-8", "replace")

    @property
    def err(self) -> str:
        """Everything on standard error so far."""
        return self._err.read_text("utf-8", "replace")

    @property
    def log(self) -> str:
        """Everything the server has said so far, standard output first."""
        return self.out + self.err

    def lines(self, *parts: str) -> list[str]:
        """The lines of the log that hold all of these parts."""
        return [line for line in self.log.splitlines() if all(part in line for part in parts)]

    def wait_for_line(self, *parts: str) -> str:
        """Wait for the first line that holds all of these parts."""
        return wait_until(lambda: self.lines(*parts), what=f"a log line with {parts}")[0]

    def records(self) -> list[dict[str, Any]]:
        """The log as JSON objects, one per line."""
        return [json.loads(line) for line in self.log.splitlines() if line.strip()]

    # -- waiting --------------------------------------------------------------------------

    def wait_listening(self) -> LiveServer:
        """Wait until it accepts connections, and it is this one that does."""
        wait_until(self._accepts, what=f"listening: {self.command}")
        if self.address.path is None:
            # Somebody else may have been faster to take the port.
            wait_until(
                lambda: self._accepts() and self.address.port in self.ports(),
                what="the port is ours",
            )
        self._listened = True
        return self

    def wait_ready(self, timeout: float = 60.0) -> LiveServer:
        """Wait until a worker can score."""

        def ready() -> bool:
            return self._accepts() and self.get("/readyz").status == 200

        if not self._listened:
            self.wait_listening()
        wait_until(ready, timeout=timeout, what=f"ready: {self.command}\n{self.log}")
        return self

    def wait_exit(self, timeout: float = 30.0) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(timeout)

    def _accepts(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}:\n{self.log}")
        try:
            self.address.open(1.0).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True

    # -- requests -------------------------------------------------------------------------

    def connect(self, timeout: float = 20.0) -> Connection:
        """A new connection; one that a test leaves open is closed when the server ends."""
        connection = Connection(self.address, timeout)
        self._connections = [each for each in self._connections if not each.is_closed]
        self._connections.append(connection)
        return connection

    # -- files that scripts and tests wait for --------------------------------------------

    def make(self, name: str) -> None:
        """Make an empty file in the app root, for which the script waits."""
        (self.folder / name).touch()

    def wait_for_file(self, name: str) -> None:
        """Wait until the script has made this file in the app root."""
        wait_until((self.folder / name).exists, what=f"the script made {name}\n{self.log[-2000:]}")

    # -- processes ------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Of the first process, the arbiter."""
        return self.process.pid

    def ports(self) -> set[int]:
        """The ports it listens on."""
        return listening_ports(self.pid)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it the polite way; the exit status. Nothing of it may be left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_WITHIN)
            wait_until(lambda: not in_session(self.pid), timeout=30, what=self._left())
            return status
        except subprocess.TimeoutExpired:
            text = f"still there {STOP_WITHIN:g} s after SIGTERM: {self._left()}"
            raise AssertionError(f"{text}\n{self.log[-3000:]}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """End every process of it at once."""
        for connection in self._connections:
            connection.close()
        for process in in_session(self.pid):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self.process.wait()

    def _left(self) -> str:
        return f"no process left of {in_session(self.pid)}"

    def check_stopped(self) -> None:
        """Stop it and hold it to what every server owes: status 0, nothing forgotten."""
        status = self.stop()
        log = self.log
        assert status == 0, f"exit status {status} after SIGTERM:\n{log[-3000:]}"
        forgotten = OURS_TO_FIX.search(log)
        if forgotten is not None:
            start, end = max(0, forgotten.start() - 500), forgotten.end() + 2500
            raise AssertionError(f"{forgotten[0]!r} in the log:\n{log[start:end]}")


StartServer: TypeAlias = Callable[..., LiveServer]
"""What the fixtures ``live_server`` and ``own_server`` are."""
