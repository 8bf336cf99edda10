"""Real containers: started from an image, asked over HTTP, looked into, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from scorehost.images.family import read_family
from support.client import Address, Connection, ConnectionEnded, Headers, Response
from support.pythons import pythons_here
from support.wait import wait_until

FAMILY = read_family()
DEBIAN = FAMILY.images["foundation"].upstream.tagged

ROOT = Path(__file__).parents[2]
BASE_IMAGES = ROOT / "base-images" / "build.py"

KEEP = bool(os.environ.get("SCOREHOST_KEEP_TEST_IMAGES"))
"""Set it while working on these tests: the images then stay, and can be looked into."""

NAMES = "scorehost-test" if KEEP else f"scorehost-test-{os.getpid()}"
"""The tests' images are called so, and something more: this process's own, as it removes them."""

LABEL = f"scorehost-test={os.getpid()}"
"""On every container of this process, so that each can be found and removed."""

START_WITHIN = 60.0
"""Seconds for a container to be ready: a loaded machine, and a script that loads a model."""

HARDENED = (
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)
"""How a careful cluster runs containers; the user id comes on top."""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All it said."""
        return self.out + self.err


def docker(*arguments: str, check: bool = True, timeout: float = 300, text: str = "") -> Done:
    """Run a command of the engine's."""
    done = subprocess.run(
        ["docker", *arguments],
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
    )
    if check:
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return Done(done.returncode, done.stdout, done.stderr)


def why_no_engine() -> str:
    """Why there is no engine to test with; "" when there is one."""
    try:
        done = docker("info", check=False, timeout=30)
    except FileNotFoundError:
        return "docker is not installed"
    return "" if done.status == 0 else f"no container engine answers: {done.err.strip()[-200:]}"


def inspect(kind: str, name: str) -> Any:
    """What the engine knows about something."""
    return json.loads(docker(kind, "inspect", name).out)[0]


def exists(image: str) -> bool:
    """Whether there is an image of that name."""
    return docker("image", "inspect", image, check=False).status == 0


def layers(image: str) -> list[str]:
    """Digests of an image's layers, the lowest first."""
    found: list[str] = inspect("image", image)["RootFS"]["Layers"]
    return found


def python_image(version: str) -> str:
    """See that there is an official image of a Python: here already, pulled, or a stand-in.

    The stand-in is made of an interpreter of this machine that has a folder of its own, as pyenv's
    do. Where there is none of these, the answer says why; otherwise it is "".
    """
    upstream = FAMILY.interpreters[version]
    if exists(upstream.tagged) or exists(upstream.pinned):
        return ""
    if docker("pull", "--quiet", upstream.pinned, check=False).status == 0:
        return ""
    here = pythons_here().get(version)
    prefix = here.resolve().parents[1] if here else Path("/usr")
    if prefix == Path("/usr"):
        return f"{upstream.pinned} cannot be pulled, and no Python {version} is here to stand in"
    left = ["test", "tests", "idle_test", "__pycache__", "*.a"]
    pack = ["tar", "--create", f"--directory={prefix}", *(f"--exclude={name}" for name in left)]
    pack += ["--transform=s,^[.],usr/local,", "."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
        command = ["docker", "import", "-", upstream.tagged]
        subprocess.run(command, stdin=packed.stdout, check=True, capture_output=True)
    assert packed.returncode == 0
    return ""


def image_with_python(version: str, folder: Path) -> str:
    """The default base image with another Python, made by building an app in an empty folder."""
    if reason := python_image(version):
        pytest.skip(reason)
    (folder / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    scorehost_build(folder, f"{NAMES}/python-{version}:1", "--python", version, "--no-check")
    return FAMILY.with_python("inference-cpu", "", version)


def build_base_images(*arguments: str) -> str:
    """Build base images as ``make images`` does; what that says."""
    command = [sys.executable, str(BASE_IMAGES), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def scorehost_build(
    folder: Path, tag: str, *arguments: str, check: bool = True, **variables: str
) -> Done:
    """Run ``scorehost build``."""
    command = [sys.executable, "-m", "scorehost", "build", str(folder), "-t", tag, *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


class Container:
    """A container that runs an image.

    Parameters
    ----------
    image : which.
    options : of ``docker run``.
    command : instead of the image's own.
    ports : those that are published, each on a free one of the loopback address.
    """

    def __init__(
        self,
        image: str,
        *,
        options: Sequence[str] = (),
        command: Sequence[str] = (),
        ports: Iterable[int] = (5001,),
    ) -> None:
        publish = [f"--publish=127.0.0.1::{port}" for port in ports]
        self.id = docker(
            "run", "--detach", f"--label={LABEL}", *publish, *options, image, *command
        ).out.strip()
        self._ports: dict[int, int] = {}

    # -- what the engine knows ------------------------------------------------------------

    @property
    def state(self) -> Any:
        """Whether it runs, and how it ended."""
        return inspect("container", self.id)["State"]

    @property
    def log(self) -> str:
        """Everything it has said."""
        return docker("logs", self.id).text

    def port(self, inside: int = 5001) -> int:
        """Where one of its ports is published."""
        if inside not in self._ports:
            published = inspect("container", self.id)["NetworkSettings"]["Ports"][f"{inside}/tcp"]
            self._ports[inside] = int(published[0]["HostPort"])
        return self._ports[inside]

    @property
    def address(self) -> str:
        """Its own address on the engine's network."""
        address: str = inspect("container", self.id)["NetworkSettings"]["IPAddress"]
        return address

    def top(self) -> list[list[str]]:
        """Its processes: user id, process id, command."""
        lines = docker("top", self.id, "-eo", "uid,pid,args").out.splitlines()[1:]
        return [line.split(None, 2) for line in lines]

    # -- doing things ---------------------------------------------------------------------

    def exec(self, *command: str, user: str = "", check: bool = True, text: str = "") -> Done:
        """Run a command in it."""
        options = ["--interactive", *(["--user", user] if user else [])]
        return docker("exec", *options, self.id, *command, check=check, text=text)

    def stop(self) -> int:
        """Stop it; its exit status."""
        docker("stop", self.id)
        return self.wait_exit()

    def wait_exit(self) -> int:
        """Wait for its end; its exit status."""
        return int(docker("wait", self.id, timeout=120).out)

    def remove(self) -> None:
        """Leave nothing of it."""
        docker("rm", "--force", "--volumes", self.id, check=False)

    # -- asking it ------------------------------------------------------------------------

    def connect(self, timeout: float = 60.0) -> Connection:
        """A connection to its scoring port."""
        return Connection(Address(port=self.port()), timeout)

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        body: bytes | None = None,
        timeout: float = 60.0,
    ) -> Response:
        """One request on a connection of its own."""
        with self.connect(timeout) as connection:
            return connection.request(method, target, headers=headers, body=body)

    def get(self, target: str = "/") -> Response:
        """GET."""
        return self.request("GET", target)

    def post(self, value: Any, **options: Any) -> Response:
        """POST a JSON value to be scored."""
        body = json.dumps(value).encode()
        headers = [("Content-Type", "application/json")]
        return self.request("POST", "/score", headers=headers, body=body, **options)

    def score(self, value: Any) -> Any:
        """POST a JSON value and decode the answer, which must be a 200."""
        response = self.post(value)
        assert response.status == 200, f"{response.status} {response.body[:500]!r}\n{self.log}"
        return response.json()

    def wait_ready(self) -> Container:
        """Wait until a worker can score."""

        def ready() -> bool:
            assert self.state["Running"], f"it ended:\n{self.log[-5000:]}"
            try:
                return self.get("/readyz").status == 200
            except (OSError, ConnectionEnded):
                return False  # the engine's proxy accepts before anybody listens inside

        wait_until(ready, timeout=START_WITHIN, what=f"ready:\n{self.log[-3000:]}")
        return self

    def wait_for_line(self, *parts: str) -> str:
        """Wait for the first line of its log that holds all of these."""

        def found() -> list[str]:
            return [line for line in self.log.splitlines() if all(part in line for part in parts)]

        return wait_until(found, timeout=START_WITHIN, what=f"a log line with {parts}")[0]


StartContainer: TypeAlias = Callable[..., Container]
"""What the fixture ``start`` is."""

BuildImage: TypeAlias = Callable[..., str]
"""What the fixture ``build_image`` is."""
