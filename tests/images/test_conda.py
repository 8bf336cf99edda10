"""Images with an environment of conda's own packages, from a channel of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.containers import (
    HARDENED,
    NAMES,
    Done,
    StartContainer,
    docker,
    inspect,
    scorehost_build,
)
from support.server import fill

SCORE = """\
import subprocess, sys
import greet, idna

def init():
    pass

def run(data):
    film = subprocess.run(["ffmpeg"], stdout=subprocess.PIPE, universal_newlines=True).stdout
    return [sys.prefix, "%d.%d.%d" % sys.version_info[:3], greet.hello(), film, idna.__version__]
"""

MYENV = """\
name: project
channels:
- conda-forge
dependencies:
- python={python}
- greet>=0.3
- ffmpeg
- pip
- pip:
  - idna==3.10
"""

BASE = "org.opencontainers.image.base.name"


@pytest.fixture
def build(channel: tuple[str, str], tmp_path: Path, inference: str) -> Callable[..., Done]:
    """Build the app with the channel in the place of conda-forge."""
    address, python = channel
    fill(tmp_path / "app", {"score.py": SCORE, "myenv.yml": MYENV.format(python=python)})

    def run(tag: str, *arguments: str, **options: object) -> Done:
        mirror = ("--channel", f"conda-forge={address}")
        return scorehost_build(tmp_path / "app", tag, *mirror, *arguments, **options)  # type: ignore[arg-type]

    return run


@pytest.mark.timeout(600)
def test_an_environment_of_condas(
    build: Callable[..., Done], channel: tuple[str, str], start: StartContainer, tmp_path: Path
):
    """The file is enough: conda is chosen for what only it has, and pip's list comes on top."""
    tag = f"{NAMES}/conda:1"

    said = build(tag).out

    assert "the packages are conda's, since pip cannot install ffmpeg" in said
    container = start(tag, *HARDENED, "--user=12345:0")
    answer = ["/opt/env", channel[1], "hello from conda\n", "a film\n", "3.10"]
    assert container.score(None) == answer
    assert "greet==0.4" in container.exec("python", "-m", "pip", "list", "--format=freeze").out
    pip = container.exec("pip", "check").out
    assert pip == "No broken requirements found.\n"
    listed = json.loads(container.exec("cat", "/opt/scorehost/sbom.cdx.json").out)["components"]
    purls = {each["purl"].partition("?")[0] for each in listed if "purl" in each}
    python = f"pkg:conda/python@{channel[1]}"
    assert {
        python,
        "pkg:conda/ffmpeg@6.1",
        "pkg:conda/libgreet@1.2.0",
        "pkg:pypi/idna@3.10",
    } <= purls
    assert not [purl for purl in purls if purl.startswith("pkg:generic/python")]
    meta = container.exec("sh", "-c", "cat /opt/env/conda-meta/*.json").out
    assert "extracted_package_dir" not in meta  # nothing of the machine that built it
    assert "package_tarball_full_path" not in meta
    again = build(tag).out
    assert "making " not in again
    assert "Nothing has changed" in again
    locked_elsewhere(build, tag, tmp_path)
    docker("rmi", "--force", inspect("image", tag)["Config"]["Labels"][BASE])


def locked_elsewhere(build: Callable[..., Done], tag: str, tmp_path: Path) -> None:
    """A lock has conda's packages too; with it, another machine comes to the same environment."""
    first = inspect("image", tag)["Config"]["Labels"][BASE]
    wrote = build(tag, "--lock").out
    assert "scorehost.lock: 6 packages" in wrote
    lock = (tmp_path / "app" / "scorehost.lock").read_text()
    assert '#   "greet 0.4 0 file:///' in lock

    there = build(f"{tag}-there", "--locked", XDG_CACHE_HOME=str(tmp_path / "cache"))

    assert "the packages are those of scorehost.lock" in there.out
    assert inspect("image", f"{tag}-there")["Config"]["Labels"][BASE] == first
    myenv = tmp_path / "app" / "myenv.yml"
    myenv.write_text(myenv.read_text().replace("greet>=0.3", "greet=0.3"))
    refused = build(tag, "--locked", check=False)
    assert refused.status != 0
    assert "myenv.yml has conda's greet=0.3 now" in refused.err
    assert build(tag, "--lock").out.count("greet==0.4 is now 0.3") == 1


def test_none_of_condas_packages_fits(build: Callable[..., Done], tmp_path: Path):
    """The error has the solver's reason and the channels, and nothing is built."""
    myenv = tmp_path / "app" / "myenv.yml"
    myenv.write_text(myenv.read_text().replace("greet>=0.3", "greet>=7"))

    refused = build(f"{NAMES}/conda-none:1", check=False)

    assert refused.status != 0
    assert "No set of conda's packages meets the environment file." in refused.err
    assert "greet >=7" in refused.err
    assert "Traceback" not in refused.text
