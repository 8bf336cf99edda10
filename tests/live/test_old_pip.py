"""Fetching wheels with the pip that a new environment has, which may be years old.

The index is a folder, so that what there is to be had stays what it was. Only the old pip itself
is fetched.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scorehost.errors import UsageError
from scorehost.images.base_facts import BaseFacts
from scorehost.images.requirement_lines import RequirementLines
from scorehost.images.wheelhouse import Wheelhouse
from scorehost.images.wheels import Sources
from support.server import fill

OLD = "23.2.1"
"""The pip that Python 3.11.7 brings."""

FACTS = BaseFacts(
    image="sha256:none",
    python="3.11",
    release="3.11.2",
    machine="x86_64",
    glibc=36,
    packages={"numpy": "2.0.0", "pip": "26.0"},
)


@pytest.fixture(scope="module", params=[OLD, "our own"])
def pip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which ``python -m pip`` is that pip, without anybody's settings."""
    foreign = re.compile(r"PIP_.*|.*_proxy", re.IGNORECASE)
    environ = {name: value for name, value in os.environ.items() if not foreign.fullmatch(name)}
    environ |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1"}
    if request.param == OLD:
        folder = tmp_path_factory.mktemp("pip")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--target", str(folder), f"pip=={OLD}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        if done.returncode:
            pytest.skip(f"pip {OLD} cannot be fetched: {done.stderr[-300:]}")
        environ["PYTHONPATH"] = str(folder)
    said = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], env=environ, capture_output=True, text=True
    ).stdout
    assert said.startswith(f"pip {OLD} ") == (request.param == OLD)
    return environ


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index that is a folder: numpy, of old versions only the source code; and thing."""
    folder = tmp_path_factory.mktemp("index")
    platform = "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"
    fill(
        folder,
        {
            "numpy/numpy-1.15.4.tar.gz": "",
            "numpy/numpy-1.15.4-cp37-cp37m-manylinux1_x86_64.whl": "",
            "numpy/numpy-1.24.0.tar.gz": "",
            f"numpy/numpy-1.26.4-{platform}.whl": "",
            f"numpy/numpy-2.0.0-{platform}.whl": "",
            "sources/sources-1.0.tar.gz": "",
        },
    )
    (folder / "thing").mkdir()
    for version in ("1.0", "2.0"):
        make_wheel(folder / "thing", "thing", version)
    for package in folder.iterdir():
        links = "".join(f'<a href="{file.name}">{file.name}</a>\n' for file in package.iterdir())
        (package / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return folder


def make_wheel(folder: Path, name: str, version: str) -> None:
    """An empty wheel that pip takes."""
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")


def fetch(environ: dict[str, str], index: str, cache: Path, *requirements: str) -> Path:
    """Fetch the wheels of some requirements."""
    house = Wheelhouse(FACTS, Sources(index_url=index), cache, environ, lambda _: None)
    return house.fetch(RequirementLines(list(requirements)))


def test_pins_without_wheels(pip: dict[str, str], index: Path, tmp_path: Path):
    """Each is named with what could be had; source code is nothing that could be."""
    wanted = ["numpy==1.15.4", "thing==3.0", "sources==1.0", "thing"]

    with pytest.raises(UsageError) as refused:
        fetch(pip, index.as_uri(), tmp_path, *wanted)

    head, numpy, thing, sources = str(refused.value).splitlines()
    assert head == "Some packages are not available for the image's Python 3.11."
    assert numpy == (
        "  numpy==1.15.4 has no wheel for Python 3.11. The nearest version that has one is 1.26.4: "
        "numpy==1.26.4"
    )
    assert thing.endswith("The nearest version that has one is 2.0: thing==2.0")
    assert sources.startswith("  sources==1.0: no package of that name has a wheel")


def test_packages_that_do_not_fit(pip: dict[str, str], index: Path, tmp_path: Path):
    """A conflict is one only where everything could be had."""
    with pytest.raises(UsageError) as refused:
        fetch(pip, index.as_uri(), tmp_path, "thing==1.0", "thing==2.0")

    assert str(refused.value) == (
        "The packages conflict: no set of versions meets all requirements.\n"
        "  The user requested thing==1.0\n"
        "  The user requested thing==2.0"
    )


def test_an_index_that_is_not_reached(pip: dict[str, str], tmp_path: Path):
    """Nothing is said of packages then."""
    with pytest.raises(UsageError) as refused:
        fetch(pip, "http://127.0.0.1:9/", tmp_path, "thing")

    assert "an index cannot be reached" in str(refused.value)
    assert "Connection refused" in str(refused.value)
    assert "no package of that name" not in str(refused.value)


def test_wheels(pip: dict[str, str], index: Path, tmp_path: Path):
    """What can be had is fetched."""
    folder = fetch(pip, index.as_uri(), tmp_path, "thing<2")

    assert [wheel.name for wheel in folder.glob("*.whl")] == ["thing-1.0-py3-none-any.whl"]
