"""The base image is made when it is missing, by an installed scorehost that has no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scorehost.images.own_wheel import write_own_wheel
from support.containers import DEBIAN, NAMES, ROOT, StartContainer
from support.server import fill


@pytest.fixture(scope="module")
def installed(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scorehost as pip installs it, whose images have names of their own."""
    place = tmp_path_factory.mktemp("installed")
    wheel = write_own_wheel(tmp_path_factory.mktemp("wheel"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--target", place, wheel], check=True, timeout=120)
    data = place / "scorehost" / "images" / "recipes" / "images.toml"
    data.write_text(data.read_text().replace('namespace = "scorehost"', f'namespace = "{NAMES}"'))
    return place


def test_one_command(installed: Path, tmp_path: Path, start: StartContainer):
    """The images below are made first, once, and the app serves."""
    fill(tmp_path, {"score.py": "def init(): pass\ndef run(data): return data\n"})
    tag = f"{NAMES}/on-demand:1"
    words = [sys.executable, "-m", "scorehost", "build", str(tmp_path), "-t", tag]
    words += ["--upstream", f"debian={DEBIAN}"]
    environ = {**os.environ, "PYTHONPATH": str(installed)}

    first, again = (
        subprocess.run(
            words, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=400
        )
        for _ in range(2)
    )

    assert first.returncode == 0, first.stdout + first.stderr
    assert f"making {NAMES}/foundation:" in first.stdout
    assert f"making {NAMES}/inference-cpu:" in first.stdout
    assert "making" not in again.stdout
    assert "Nothing has changed" in again.stdout
    assert start(tag).score({"a": 1}) == '{"a": 1}'


def test_an_upstream_image_that_is_not_there(installed: Path, tmp_path: Path):
    """The option that names another place is told."""
    fill(tmp_path, {"score.py": "def init(): pass\ndef run(data): return data\n"})
    words = [sys.executable, "-m", "scorehost", "build", str(tmp_path), "-t", f"{NAMES}/no:1"]
    words += ["--base-image", "inference-gpu", "--upstream", "cuda=localhost:9/nobody/cuda:1"]
    environ = {**os.environ, "PYTHONPATH": str(installed)}

    done = subprocess.run(words, env=environ, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert "localhost:9/nobody/cuda:1 cannot be pulled" in done.stderr
    assert "--upstream cuda=IMAGE" in done.stderr


def test_the_wheel_is_as_setuptools_builds_it(tmp_path: Path):
    """The same files, but for the tool's name; and twice the same bytes."""
    ours = write_own_wheel(tmp_path)
    bytes_of_it = ours.read_bytes()
    assert write_own_wheel(tmp_path).read_bytes() == bytes_of_it
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    copy = tmp_path / "checkout"
    files = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "runtime", "tools", "pyproject.toml", "README.md",
         "LICENSE", "MANIFEST.in"],
        capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    fill(copy, {name: (ROOT / name).read_bytes() for name in files if name})
    subprocess.run([*command, "--wheel-dir", tmp_path / "built", copy], check=True, timeout=120)
    (theirs,) = (tmp_path / "built").glob("*.whl")

    with zipfile.ZipFile(ours) as one, zipfile.ZipFile(theirs) as other:
        assert set(one.namelist()) == set(other.namelist())
        different = {name for name in one.namelist() if one.read(name) != other.read(name)}
    assert {Path(name).name for name in different} <= {"RECORD", "WHEEL", "METADATA"}
