"""Environments of conda's packages: when they are chosen, which packages, what cannot be had."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from scorehost.errors import UsageError
from scorehost.images import conda_choice
from scorehost.images.conda_choice import CondaWish, conda_for
from scorehost.images.conda_packages import (
    DEFAULTS,
    CondaPackage,
    CondaPackages,
    addresses,
    digest_of,
)
from scorehost.images.environment import read_environment
from scorehost.images.lock_file import asked_for, lock_of, read_lock
from scorehost.images.rattler_tool import leave_out_this_machine
from scorehost.images.requirement_lines import Environment
from scorehost.images.sbom import conda_components
from scorehost.images.script_python import Wish
from scorehost.images.wheels import Target
from support.conda_channel import index, package

TARGET = Target("3.11", "x86_64", 36)


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """A channel whose packages have next to nothing in them."""
    folder = tmp_path / "channel"
    for version in ("3.8.18", "3.11.4"):
        package(folder, "linux-64", "python", version, {"bin/python": b"#!/bin/sh\n"})
    package(folder, "linux-64", "pip", "23.0", {"bin/pip": b"#!/bin/sh\n"}, depends=["python"])
    package(folder, "linux-64", "libgreet", "1.2.0", {"share/greet": b"hello\n"})
    package(folder, "linux-64", "libgreet", "2.0.0", {"share/greet": b"hello 2\n"})
    needs = ["python >=3.8", "libgreet <2"]
    package(folder, "linux-64", "greet", "0.3", {"bin/greet": b"#!/bin/sh\n"}, depends=needs)
    glibc = [*needs, "__glibc >=2.17"]
    package(folder, "linux-64", "greet", "0.4", {"bin/greet": b"#!/opt/x\n"}, depends=glibc)
    package(folder, "linux-64", "new", "1", {"share/new": b""}, depends=["__glibc >=2.99"])
    package(folder, "linux-64", "gpu", "1", {"share/gpu": b""}, depends=["__cuda >=12"])
    index(folder)
    return folder


def source(channel: Path, cache: str = "cache", cuda: str = "") -> CondaPackages:
    """What chooses from a channel."""
    place = channel.parent / cache
    return CondaPackages([channel.as_uri()], {}, TARGET, cuda, place, dict(os.environ))


def names(packages: list[CondaPackage]) -> list[str]:
    return sorted(f"{each.name}-{each.version}" for each in packages)


def wish(*listed: str, python: str = "", **rest: object) -> CondaWish:
    constraint = str(rest.get("constraint", ""))
    return CondaWish(listed, (python,) if python else (), constraint, ("conda-forge",))


# -- pip's packages or conda's --------------------------------------------------------------


def read(folder: Path, text: str) -> Environment:
    folder.mkdir(exist_ok=True)
    file = folder / "myenv.yml"
    file.write_text(text)
    return read_environment(file)


BOTH = "channels: [conda-forge]\ndependencies: [python=3.8.13, numpy, ffmpeg, pip, pip: [idna]]\n"
PIPS = "dependencies: [python=3.8.13, numpy=1.19, pip]\n"


def test_a_file_that_pip_can_follow_is_pips(tmp_path: Path):
    environment = read(tmp_path, PIPS)

    assert conda_for(environment, None) is None
    assert environment.lines.requirements == ["numpy==1.19.*"]


def test_what_only_conda_has_makes_all_of_it_condas(tmp_path: Path):
    """The note says why; pip installs its own list alone."""
    environment = read(tmp_path, BOTH)

    chosen = conda_for(environment, None)

    assert chosen == CondaWish(
        ("numpy", "ffmpeg", "pip"), ("python=3.8.13",), "==3.8.13", ("conda-forge",)
    )
    assert environment.lines.requirements == ["idna"]
    assert environment.notes == ["the packages are conda's, since pip cannot install ffmpeg"]


def test_conda_can_be_asked_for(tmp_path: Path):
    environment = read(tmp_path, PIPS)

    chosen = conda_for(environment, True)

    assert chosen is not None
    assert chosen.listed == ("numpy=1.19", "pip")
    assert environment.lines.requirements == []


def test_conda_can_be_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="lists what only conda can install") as refused:
        conda_for(read(tmp_path, BOTH), False)

    assert "\n  ffmpeg: " in str(refused.value)
    assert "scorehost[conda]" not in str(refused.value)


def test_without_what_chooses_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The error says what to do with pip, and what to install for conda."""
    monkeypatch.setattr(conda_choice, "find_spec", lambda _name: None)

    with pytest.raises(UsageError) as refused:
        conda_for(read(tmp_path, BOTH), None)

    assert "'RUN apt-get update" in str(refused.value)
    assert str(refused.value).endswith("pip install 'scorehost[conda]'")


def test_one_or_the_other(tmp_path: Path):
    """pip cannot say it of packages; Python is chosen as within a range."""
    text = "dependencies: [python=3.8|3.9, 'numpy=1.21|1.23']\n"
    environment = read(tmp_path, text)

    assert Wish(environment.python).choose("3.11", ["3.8", "3.9"]) == ("3.9", [])
    chosen = conda_for(environment, True)
    assert chosen is not None
    assert chosen.specs("3.9")[:2] == ["numpy=1.21|1.23", "python=3.8|3.9"]
    with pytest.raises(UsageError, match=r"numpy: 'numpy=1\.21\|1\.23' lets conda choose"):
        conda_for(read(tmp_path, text), False)


def test_two_pythons(tmp_path: Path):
    with pytest.raises(
        UsageError, match=r"lists Python more than once: python=3\.8, python 3\.9\."
    ):
        read(tmp_path, "dependencies: [python=3.8, python 3.9]\n")


@pytest.mark.parametrize("file", ["requirements.txt", ""])
def test_conda_without_a_conda_file(tmp_path: Path, file: str):
    environment = Environment()
    if file:
        (tmp_path / file).write_text("numpy\n")
        environment = read_environment(tmp_path / file)

    with pytest.raises(UsageError, match=r"--conda needs a conda file such as myenv\.yml"):
        conda_for(environment, True)


def test_the_old_servers_packages_below_pip(tmp_path: Path):
    """They are replaced there as they are elsewhere."""
    environment = read(tmp_path, "dependencies: [ffmpeg, pip, pip: [azureml-defaults==1.0.17]]\n")

    assert conda_for(environment, None) is not None
    assert environment.lines.requirements == ["flask", "inference-schema", "numpy"]
    assert any("azureml-defaults==1.0.17 is not installed" in note for note in environment.notes)


@pytest.mark.parametrize("value", ["conda-forge", "{a: b}", "[[a]]", "3"])
def test_channels_that_are_no_list(tmp_path: Path, value: str):
    with pytest.raises(UsageError, match="'channels' must be a list of names"):
        read(tmp_path, f"channels: {value}\ndependencies: [numpy]\n")


def test_the_python_that_is_had_is_the_one_asked_for():
    """By its patch release too, unless scorehost has another version instead."""
    asked = wish("greet", python="python=3.8.13", constraint="==3.8.13")
    old = wish("greet", python="python=3.6", constraint="==3.6.*")

    assert asked.specs("3.8") == ["greet", "python=3.8.13", "python 3.8.*", "pip"]
    assert old.specs("3.8") == ["greet", "python 3.8.*", "pip"]


# -- channels -------------------------------------------------------------------------------


def test_the_addresses_of_channels():
    listed = ["nvidia/label/cuda-12", "defaults", "https://host/own", "nodefaults", "defaults"]

    assert addresses(listed, {}) == [
        "https://conda.anaconda.org/nvidia/label/cuda-12", *DEFAULTS, "https://host/own",
    ]  # fmt: skip
    assert addresses([], {}) == []
    assert addresses(["a", "defaults"], {"defaults": "file:///d", "a": "https://m/a"}) == [
        "https://m/a", "file:///d",
    ]  # fmt: skip


def test_a_channel_that_comes_earlier_wins(channel: Path, tmp_path: Path):
    """As conda has it, even with an older version."""
    first = tmp_path / "first"
    package(first, "linux-64", "greet", "0.1", {"bin/greet": b""})
    index(first)
    both = CondaPackages(
        ["first", channel.as_uri()], {"first": first.as_uri()}, TARGET, "", tmp_path / "c",
        dict(os.environ),
    )  # fmt: skip

    assert "greet-0.1" in names(both.choose(["greet", "python 3.8.*"]))
    assert "greet-0.3" in names(both.choose(["greet 0.3", "python 3.8.*"]))


def test_a_channel_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError) as failed:
        source(tmp_path / "nothing").choose(["python"])

    said = str(failed.value)
    assert said.startswith("conda's packages cannot be fetched.\n  ")
    assert "--channel NAME=URL names a mirror" in said


@pytest.mark.parametrize("spec", ["near::greet", "near/linux-64::greet 0.3", "near::greet=0.3"])
def test_a_channel_that_a_package_names(channel: Path, tmp_path: Path, spec: str):
    """It need not be listed, and may have a mirror."""
    other = tmp_path / "other"
    package(other, "linux-64", "greet", "9", {"bin/greet": b""})
    index(other)
    mirrors = {"near": channel.as_uri(), "listed": other.as_uri()}
    source = CondaPackages(["listed"], mirrors, TARGET, "", tmp_path / "c", dict(os.environ))

    chosen = source.choose([spec])

    assert {each.name: each.version for each in chosen}["greet"] in {"0.3", "0.4"}


def test_specifications_as_people_write_them(channel: Path):
    """Whatever conda takes is taken."""
    asked = ["greet>=0.3, <1", "libgreet = 1.2", "python[version='>=3.8,<4']", "pip 23.0"]

    assert "greet-0.4" in names(source(channel).choose(asked))


# -- choosing -------------------------------------------------------------------------------


def test_the_newest_that_fit(channel: Path):
    chosen = source(channel).choose(["greet", "python 3.8.*", "pip"])

    assert names(chosen) == ["greet-0.4", "libgreet-1.2.0", "pip-23.0", "python-3.8.18"]
    assert all(each.url.startswith("file://") and len(each.sha256) == 64 for each in chosen)


@pytest.mark.parametrize(
    ("asked", "said"),
    [("greet >=3", "greet >=3"), ("libgreet 2.*", "libgreet"), ("new", "__glibc"), ("gpu", "cuda")],
)
def test_what_does_not_fit_is_said(channel: Path, asked: str, said: str):
    with pytest.raises(UsageError) as refused:
        source(channel).choose([asked, "greet", "python 3.8.*"])

    lines = str(refused.value).splitlines()
    assert lines[0] == "No set of conda's packages meets the environment file."
    assert said in str(refused.value)
    assert lines[-1].strip() == f"The channels are: {channel.as_uri()}"


def test_the_images_cuda_counts(channel: Path):
    assert names(source(channel, cuda="12.4").choose(["gpu"])) == ["gpu-1"]


def test_the_same_question_has_the_same_answer(channel: Path):
    """Until it is asked anew, or on another machine; what was locked stays where it fits."""
    asked = ["greet", "python 3.8.*"]
    before = source(channel).choose(asked)
    package(channel, "linux-64", "greet", "0.5", {"bin/greet": b""}, depends=["libgreet"])
    index(channel)

    assert source(channel).choose(asked) == before
    assert "greet-0.5" in names(source(channel, "other").choose(asked))
    kept = source(channel, "third").choose([*asked, "pip"], preferred=before)
    assert {"greet-0.4", "libgreet-1.2.0", "pip-23.0"} <= set(names(kept))
    assert "greet-0.5" in names(source(channel).choose(asked, anew=True))


# -- installing -----------------------------------------------------------------------------


def test_the_archive_of_an_environment(channel: Path, tmp_path: Path):
    """The same packages are the same bytes, whichever cache they come from."""
    chosen = source(channel).choose(["greet", "python 3.8.*"])

    source(channel).install(chosen, tmp_path / "a.tar")
    source(channel, "other").install(chosen, tmp_path / "b.tar")

    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        inside = archive.getnames()
        assert {"bin/greet", "bin/python", "share/greet"} <= set(inside)
        assert all(member.uid == 0 and member.mode & 0o004 for member in archive)
        archive.extractall(tmp_path / "env", filter="data")
    listed = list(conda_components(tmp_path / "env" / "conda-meta"))
    assert [each["name"] for each in listed] == ["greet", "libgreet", "python"]
    assert listed[0]["purl"] == "pkg:conda/greet@0.4?build=0&subdir=linux-64"


def test_a_mirrors_password_stays_here(tmp_path: Path):
    """Neither the record of a package in the image, nor what a lock says of it, has one."""
    record = {"name": "greet", "version": "1", "url": "https://me:secret@host:8/c/linux-64/greet"}
    record |= {"channel": "https://me:secret@host:8/c/", "extracted_package_dir": "/home/me/.cache"}
    (tmp_path / "greet.json").write_text(json.dumps(record))

    leave_out_this_machine(tmp_path)

    kept = json.loads((tmp_path / "greet.json").read_text())
    assert kept == {
        "name": "greet",
        "version": "1",
        "url": "https://host:8/c/linux-64/greet",
        "channel": "https://host:8/c/",
    }


def test_a_package_that_is_another_now(channel: Path, tmp_path: Path):
    """A lock's hash does not fit: no image is made of something else."""
    chosen = source(channel).choose(["libgreet 1.*"])
    locked = [replace(chosen[0], sha256="0" * 64)]

    with pytest.raises(UsageError, match="has another file now for libgreet"):
        source(channel).install(locked, tmp_path / "a.tar")


# -- scorehost.lock -------------------------------------------------------------------------


def test_condas_packages_in_a_lock(channel: Path, tmp_path: Path):
    """All that is needed to have them again; a change of what is asked makes it stale."""
    chosen = source(channel).choose(["greet", "python 3.8.*"])
    environment = Environment()
    asks = wish("greet", python="python=3.8", constraint="==3.8.*")
    target = replace(TARGET, python="3.8")
    file = tmp_path / "scorehost.lock"
    asked = asked_for(environment.lines, asks)
    lines = [each.line for each in chosen]
    file.write_text(lock_of("myenv.yml", target, asked, (), lines).text())

    lock = read_lock(file)

    assert lock is not None
    assert sorted(names([CondaPackage.of(line) for line in lock.conda])) == names(chosen)
    assert digest_of([CondaPackage.of(line) for line in lock.conda]) == digest_of(chosen)
    assert lock.why_stale("myenv.yml", asked, target) == ""
    assert lock.fits_conda(asks, target)
    more = asked_for(environment.lines, wish("greet >=0.3", python="python=3.8"))
    assert lock.why_stale("myenv.yml", more, target) == (
        "myenv.yml has conda's greet >=0.3 now; myenv.yml no longer has conda's greet"
    )
    assert not lock.fits_conda(wish("greet >=0.3", python="python=3.8"), target)
    assert not lock.fits_conda(wish(python="python=3.8"), target)
    assert not lock.fits_conda(asks, TARGET)
