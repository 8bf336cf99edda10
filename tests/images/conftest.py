"""Images that the tests share, each built once, and containers that are gone afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.conda_channel import interpreter, make_channel
from support.containers import (
    DEBIAN,
    FAMILY,
    KEEP,
    LABEL,
    NAMES,
    ROOT,
    BuildImage,
    Container,
    StartContainer,
    build_base_images,
    docker,
    scorehost_build,
    why_no_engine,
)
from support.server import fill

ECHO = "def init(): print('init')\ndef run(data): return data\n"
"""The smallest script that answers."""


@pytest.fixture(scope="session", autouse=True)
def engine() -> Iterator[None]:
    """An engine that answers, and has Debian; else everything here skips and says why."""
    reason = why_no_engine()
    if reason:
        pytest.skip(f"{reason}; '.ci/engine start FILE' starts one")
    made = subprocess.run([ROOT / ".ci" / "stand-in"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no {DEBIAN} to begin with: {made.stdout}{made.stderr}")
    yield
    _remove_containers()
    if not KEEP:
        _remove_images()


def _remove_containers() -> None:
    listed = docker("ps", "--all", "--quiet", f"--filter=label={LABEL}").out.split()
    if listed:
        docker("rm", "--force", "--volumes", *listed, check=False)


def _remove_images() -> None:
    """By name: another process of these tests may have made the very same image."""
    names = ["images", "--format", "{{.Repository}}:{{.Tag}}", f"{NAMES}/*"]
    listed = docker(*names).out.split()
    if listed:
        docker("rmi", "--force", *listed, check=False)


@pytest.fixture(scope="session")
def foundation() -> str:
    """The first of the family."""
    build_base_images("foundation")
    return FAMILY.images["foundation"].reference


@pytest.fixture(scope="session")
def inference(foundation: str) -> str:
    """The image that apps are built on."""
    build_base_images("inference-cpu")
    return FAMILY.images["inference-cpu"].reference


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The address of a channel of conda packages, and the version of its Python."""
    if interpreter() is None:
        pytest.skip("there is no Python here besides the system's to make a package of")
    folder = tmp_path_factory.mktemp("channel")
    return folder.as_uri(), make_channel(folder)


@pytest.fixture(scope="session")
def build_image(inference: str, tmp_path_factory: pytest.TempPathFactory) -> BuildImage:
    """Build an app's image from its files; those that ask for the same share one.

    Takes the files of the folder, the arguments of ``scorehost build``, and a name.
    """
    built: dict[Any, str] = {}

    def build(files: Mapping[str, str | bytes], *arguments: str, name: str) -> str:
        key = (tuple(sorted(files.items())), arguments, name)
        if key not in built:
            folder = tmp_path_factory.mktemp(name)
            fill(folder, files)
            built[key] = f"{NAMES}/{name}:1"
            scorehost_build(folder, built[key], *arguments)
        return built[key]

    return build


@pytest.fixture(scope="session")
def echo(build_image: BuildImage) -> str:
    """An app that answers what it is asked."""
    return build_image({"score.py": ECHO}, name="echo")


@pytest.fixture(scope="session")
def diabetes(inference: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The first of the examples, with a model and packages."""
    folder = diabetes_folder(tmp_path_factory.mktemp("diabetes"))
    tag = f"{NAMES}/diabetes:1"
    scorehost_build(folder, tag, "--sample", "request.json")
    return tag


def diabetes_folder(place: Path) -> Path:
    """The example's folder, with its model trained."""
    folder = place / "diabetes"
    left = shutil.ignore_patterns("azureml-models", "__pycache__")
    shutil.copytree(ROOT / "examples" / "diabetes", folder, ignore=left)
    subprocess.run([sys.executable, "train.py"], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def start() -> Iterator[StartContainer]:
    """Start containers; they are removed when the test ends."""
    started: list[Container] = []

    def run(image: str, *options: str, ready: bool = True, **rest: Any) -> Container:
        container = Container(image, options=options, **rest)
        started.append(container)
        return container.wait_ready() if ready else container

    yield run
    for container in started:
        container.remove()


@pytest.fixture(scope="module")
def running(echo: str) -> Iterator[Container]:
    """A container of the echo app, for tests that leave it as it is."""
    container = Container(echo)
    yield container.wait_ready()
    container.remove()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Building an image takes as long as its packages do."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the containers said when a test fails."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed and why_no_engine() == "":
        for id_ in docker("ps", "--all", "--quiet", f"--filter=label={LABEL}").out.split():
            report.sections.append((f"log of {id_}", docker("logs", id_).text[-4000:]))
