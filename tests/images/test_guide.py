"""The guide's chapter on debugging in a container, step by step.

A script with the guide's ptvsd lines at its top, a conda file with ptvsd in it, vim by way of
Dockerfile.steps; then run, attach, look around, edit, save, stop. Once with an image that was
built with ``--debug``, where scorehost listens and reloads, and once with a plain one, where
ptvsd itself does.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.containers import (
    NAMES,
    Container,
    StartContainer,
    docker,
    exists,
    scorehost_build,
)
from support.dap import DapClient
from support.server import fill
from support.wait import wait_until

ENVIRONMENT = """\
# Conda environment specification. The dependencies defined in this file will
# be automatically provisioned for runs with userManagedDependencies=False.

name: project_environment
dependencies:
- python=3.11
- pip:
  - azureml-defaults==1.0.17
  - ptvsd
- numpy
channels:
- conda-forge
"""
STEPS = "RUN apt-get update && apt-get -y install vim\n"

SCRIPT = """\
import ptvsd
# Allows other computers to attach to ptvsd on this IP address and port.
ptvsd.enable_attach(address=('0.0.0.0', 5678), redirect_output = True)
# Wait 30 seconds for a debugger to attach. If none attaches, the script continues as normal.
ptvsd.wait_for_attach(timeout = 30)
print("Debugger attached...")

import json
import numpy
from azureml.core.model import Model

def init():
    global factor
    with open(Model.get_model_path(model_name='my-best-model')) as file:
        factor = float(file.read())

def run(data):
    rows = numpy.array(json.loads(data)['data'])
    result = rows.sum(axis=1) * factor
    return result
"""
BREAKPOINT = SCRIPT.splitlines().index("    return result") + 1

ROWS = {"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}
"""The guide's own request."""

FIND_MODEL = """\
from azureml.core.model import Model
import logging
logging.basicConfig(level=logging.DEBUG)
print(Model.get_model_path(model_name='my-best-model'))
"""

APP = "/var/azureml-app"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The local folder, as an editor has it open."""
    place = tmp_path_factory.mktemp("guide")
    fill(place, {"model.txt": "2"})
    fill(place / "app", {"score.py": SCRIPT, "myenv.yml": ENVIRONMENT, "Dockerfile.steps": STEPS})
    return place / "app"


def build(folder: Path, tag: str, *arguments: str) -> str:
    model = f"my-best-model={folder.parent / 'model.txt'}"
    said = scorehost_build(folder, tag, "--model", model, *arguments)
    assert "azureml-defaults==1.0.17 is not installed" in said.out
    return tag


@pytest.fixture(scope="module")
def debug_image(inference: str, folder: Path) -> str:
    """``debug:1``, built with ``--debug``."""
    return build(folder, f"{NAMES}/debug:1", "--debug")


@pytest.fixture(scope="module")
def debug(debug_image: str) -> Iterator[Container]:
    """``docker run --rm --name debug -p 8000:5001 -p 5678:5678 debug:1``."""
    container = Container(debug_image, ports=(5001, 5678), options=["--rm"])
    yield container.wait_ready()
    container.remove()


class Call(threading.Thread):
    """A request under way, which may stand at a breakpoint."""

    def __init__(self, score: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._score, self.answer = score, None
        self.start()

    def run(self) -> None:
        """Ask."""
        self.answer = self._score()

    def wait(self) -> object:
        """The answer."""
        self.join(30)
        assert not self.is_alive()
        return self.answer


def stop_at_the_breakpoint(container: Container, client: DapClient) -> None:
    """Ask; stand in ``run()``, look, change, go on; the answer is the changed one."""
    call = Call(lambda: container.score(ROWS))

    frame = client.stopped()

    assert (frame["name"], frame["line"]) == ("run", BREAKPOINT)
    assert client.variables(frame)["result"] == "array([110., 110.])"
    client.set("result", "result + 1")
    client.go_on()
    assert call.wait() == [111, 111]


def attached(container: Container, folder: Path) -> DapClient:
    """Attach as soon as somebody listens inside; until then the engine's proxy hangs up."""

    def attach() -> DapClient | None:
        client = DapClient(container.port(5678))
        try:
            return client.attach({folder / "score.py": [BREAKPOINT]}, mappings={folder: APP})
        except (ConnectionError, EOFError):
            client.close()
            return None

    client = wait_until(attach, what="a debugger listens")
    assert client is not None
    return client


# -- built with --debug ---------------------------------------------------------------------


def test_attach_through_the_published_port(debug: Container, folder: Path):
    """An editor, with its folder mapped to the container's, stops at a breakpoint in its file."""
    with attached(debug, folder) as client:
        stop_at_the_breakpoint(debug, client)

    assert debug.score(ROWS) == [110, 110]


def test_find_the_model(debug: Container):
    """The guide's snippet, in a shell of the container."""
    done = debug.exec("python", text=FIND_MODEL)

    path = f"{APP}/azureml-models/my-best-model/1/model.txt"
    assert done.out == f"{path}\n"
    assert "DEBUG:" in done.err
    assert f"{APP}/azureml-models/my-best-model/1: holds model.txt" in done.err


def test_edit_in_the_container(debug: Container):
    """``docker exec -it debug /bin/bash``, ``cd``, vim, save: the next answer is the new one."""
    assert debug.score(ROWS) == [110, 110]

    with Shell("docker", "exec", "-it", debug.id, "/bin/bash") as shell:
        shell.type(f"cd {APP}\n", until="azureml-app")
        shell.type("vim score.py\n", until="azureml.core.model")
        shell.type(":%s/) . factor/) * factor * 10/\n", until="factor \\* 10")
        shell.type(":wq\n", until="written")
        shell.type("exit\n", until="exit")

    assert wait_until(lambda: debug.score(ROWS) == [1100, 1100], what="reloaded")
    assert debug.exec("cat", "score.py").out.count("factor * 10") == 1


def test_a_mistake_in_the_container(debug: Container):
    """A script that does not load does not take the place of one that does."""
    before = debug.score(ROWS)

    debug.exec("cp", "score.py", "good.txt")
    debug.exec("sh", "-c", "echo 'def run(data:' >> score.py")
    debug.wait_for_line("SyntaxError")

    assert debug.score(ROWS) == before
    debug.exec("sh", "-c", "cat good.txt > score.py; rm good.txt")
    assert debug.score(ROWS) == before


def test_keep_the_changes(debug: Container, start: StartContainer):
    """``docker commit debug debug:2``, and run that."""
    docker("commit", debug.id, f"{NAMES}/debug:2")

    kept = start(f"{NAMES}/debug:2")

    assert kept.score(ROWS) == [1100, 1100]


def test_stop(debug: Container):
    """``docker stop debug``: at once, with status 0; ``--rm`` leaves nothing of it."""
    events = ["docker", "events", "--filter", f"container={debug.id}", "--filter", "event=die"]
    with subprocess.Popen(
        [*events, "--format", "{{.Actor.Attributes.exitCode}}"], stdout=subprocess.PIPE, text=True
    ) as watching:
        docker("stop", debug.id)
        assert watching.stdout is not None
        status = watching.stdout.readline()
        watching.kill()

    assert status == "0\n"
    wait_until(lambda: docker("inspect", debug.id, check=False).status != 0, what="removed")


# -- built without --------------------------------------------------------------------------


def test_ptvsd_itself(inference: str, folder: Path, start: StartContainer):
    """In a plain image the script's own call listens: ptvsd's, attached in the same way."""
    image = build(folder, f"{NAMES}/debug-plain:1")
    container = start(image, ports=(5001, 5678), ready=False)

    with attached(container, folder) as client:
        container.wait_ready()  # well before the 30 seconds are over, or the test is
        stop_at_the_breakpoint(container, client)

    assert container.stop() == 0


def test_a_script_that_does_not_start(inference: str, tmp_path: Path, start: StartContainer):
    """``docker logs`` ends with the report: stage, error, the script's own lines."""
    script = "def init():\n    weights = open('weights.bin')\n\ndef run(data):\n    return data\n"
    fill(tmp_path, {"score.py": script})
    scorehost_build(tmp_path, f"{NAMES}/broken-init:1", "--no-check")

    container = start(f"{NAMES}/broken-init:1", ready=False)

    assert container.wait_exit() == 3
    report = container.log[container.log.index("score.py did not start") :]
    assert re.search(r"Stage +init\(\)", report)
    assert "FileNotFoundError" in report
    assert "2      weights = open('weights.bin')" in report
    assert "site-packages" not in report
    assert exists(f"{NAMES}/broken-init:1")


class Shell:
    """A command on a terminal, typed at as a person does: each word after the one before.

    Parameters
    ----------
    command : what runs on the terminal.
    """

    def __init__(self, *command: str) -> None:
        self._terminal, inside = pty.openpty()
        environ = {**os.environ, "TERM": "xterm"}
        self._process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, env=environ, close_fds=True
        )
        os.close(inside)
        self._seen = ""

    def type(self, keys: str, *, until: str) -> None:
        """Type, and wait for what should appear after it."""
        os.write(self._terminal, keys.encode())
        pattern = re.compile(until)
        self._seen = ""

        def appeared() -> bool:
            self._seen += os.read(self._terminal, 65536).decode("utf-8", "replace")
            return bool(pattern.search(self._seen))

        wait_until(appeared, what=f"{until!r} after {keys!r}")

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)
