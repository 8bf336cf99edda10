"""As a careful cluster runs it: read-only root, a user id of its own choice, no capability."""

from __future__ import annotations

import shutil
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from support.containers import (
    HARDENED,
    NAMES,
    ROOT,
    Container,
    StartContainer,
    docker,
    scorehost_build,
)
from support.server import fill

ANYBODY = "--user=471147:471147"
"""A user and a group that the image has never heard of."""

OUTSIDE = "test_places.py::test_without_an_app_root_the_current_directory_is_it"
"""The one test about what holds only outside of containers."""

NOT_NEEDED = {"playwright", "scorehost", "cyclonedx-python-lib"}
"""Tests' packages that tests/http can do without; they are large, or not for images."""


def test_as_anybody(echo: str, start: StartContainer):
    """It serves, says who it is, and stops as ever."""
    container = start(echo, *HARDENED, ANYBODY)

    assert container.score({"a": 1}) == '{"a": 1}'
    assert {uid for uid, _, _ in container.top()} == {"471147"}
    assert container.exec("touch", "/var/azureml-app/x", check=False).status != 0
    capabilities = container.exec("grep", "-h", "^Cap", "/proc/1/status").out.split()
    assert set(capabilities[1::2]) == {"0" * 16}
    assert "NoNewPrivs:\t1" in container.exec("cat", "/proc/1/status").out
    assert container.stop() == 0


def test_health_check_as_anybody(echo: str, start: StartContainer):
    """It needs nothing that is taken away."""
    container = start(echo, *HARDENED, ANYBODY)

    done = container.exec("/opt/scorehost/bin/python", "/opt/scorehost/healthcheck.py")
    assert '"state":"ready"' in done.out


def is_needed(line: str) -> bool:
    """Whether a requirement of scorehost's is one of its server, or of the tests."""
    return "extra ==" not in line or 'extra == "test"' in line


@pytest.fixture(scope="module")
def with_tests(inference: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image that has the HTTP tests in it, built as any app is."""
    folder = tmp_path_factory.mktemp("with-tests")
    # The server's own too: some tests run a part of it in their own process.
    lines = [each for each in requires("scorehost") or () if is_needed(each)]
    test = [Requirement(line) for line in lines]
    needed = [str(each).partition(";")[0] for each in test if each.name not in NOT_NEEDED]
    fill(
        folder,
        {
            "score.py": "def init(): pass\ndef run(data): return data\n",
            "requirements.txt": "\n".join(
                [*needed, "flask", "inference-schema", "jsonschema", "numpy"]
            ),
        },
    )
    for name in ("http", "support", "scripts"):
        shutil.copytree(ROOT / "tests" / name, folder / "tests" / name)
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, folder / name)
    tag = f"{NAMES}/with-tests:1"
    scorehost_build(folder, tag, "--environment", str(folder / "requirements.txt"))
    return tag


@pytest.mark.timeout(2000)  # beside all others, on a slow machine
def test_the_whole_http_suite(with_tests: str, tmp_path: Path):
    """Every HTTP test passes in there; none is skipped."""
    command = ["python", "-m", "pytest", "tests/http", "-q", "-p", "no:cacheprovider"]
    command += [f"--deselect=tests/http/{OUTSIDE}"]
    container = Container(
        with_tests,
        options=[
            *(*HARDENED, ANYBODY, "--env=HOME=/tmp", "--env=CI=true"),
            *("--env=SERVER_PYTHON=/opt/scorehost/bin/python", "--env=SCRIPTS_PYTHON=/opt/env"),
        ],
        command=[*command, "--basetemp=/tmp/pytest", "-n2"],
        ports=(),
    )
    try:
        status = docker("wait", container.id, timeout=1800).out.strip()
        log = container.log
    finally:
        container.remove()

    assert status == "0", log[-8000:]
    assert " passed" in log.splitlines()[-1]
    assert "skipped" not in log
