"""Which Python an image has for its script."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorehost.errors import UsageError
from scorehost.images.script_python import Wish, accepts, wish_of
from support.server import fill

OTHERS = [f"3.{minor}" for minor in range(8, 15)]


@pytest.mark.parametrize(
    ("constraint", "accepted"),
    [
        ("==3.11.*", True),
        ("==3.11", True),
        ("==3.11.9", True),
        ("==3", True),
        (">=3.8", True),
        (">=3.8,<3.12", True),
        (">=3.11.5,<3.11.7", True),
        ("<=3.11", True),
        ("==3.6.2", False),
        ("==3.1.*", False),
        ("<3.11", False),
        (">=3.12", False),
    ],
)
def test_which_python(constraint: str, accepted: bool):
    """The minor version counts; the patch release is the image's."""
    assert accepts(constraint, "3.11") is accepted


@pytest.mark.parametrize(
    ("constraint", "version"),
    [
        ("", "3.11"),
        (">=3.6", "3.11"),
        ("==3", "3.11"),
        ("==3.8.13", "3.8"),
        ("==3.9.*", "3.9"),
        ("==3.10", "3.10"),
        (">=3.12", "3.12"),
        (">=3.7,<3.10", "3.9"),
        ("<3.11", "3.10"),
        ("!=3.11.*", "3.12"),
        ("~=3.12.1", "3.12"),
        (">=3.8,<3.9", "3.8"),
        (">3.13", "3.13"),
        (">=3.14", "3.14"),
        ("==3.14.*", "3.14"),
    ],
)
def test_the_nearest_that_fits(constraint: str, version: str):
    """The base image's own if it is accepted; no version that is accepted is refused."""
    assert Wish(constraint, "myenv.yml").choose("3.11", OTHERS) == (version, [])


@pytest.mark.parametrize("constraint", ["==3.6.9", "==3.5", "==3.7.*", "<3.8", "~=3.6.0", "<=3.7"])
def test_a_version_that_is_too_old(constraint: str):
    """The oldest takes its place, with a note about what may not follow; not when strict."""
    version, notes = Wish(constraint, "myenv.yml").choose("3.11", OTHERS)

    assert version == "3.8"
    assert notes[0].startswith("myenv.yml asks for Python ")
    assert "pickled" in notes[0]
    with pytest.raises(UsageError, match=r"--strict does not accept the nearest, 3\.8"):
        Wish(constraint, "myenv.yml", strict=True).choose("3.11", OTHERS)


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        ("==3.15.*", "Ask for one of these"),
        (">=3.15", "Ask for one of these"),
        ("==4", "Ask for one of these"),
        ("==2.7.*", "Port the script to Python 3"),
        ("<3", "Port the script to Python 3"),
    ],
)
def test_a_version_that_there_is_not(constraint: str, said: str):
    with pytest.raises(UsageError, match=rf"Scripts run under Python 3\.8 to 3\.14\. {said}"):
        Wish(constraint, "myenv.yml").choose("3.11", OTHERS)


def test_a_constraint_that_is_none():
    with pytest.raises(UsageError, match="is not a valid constraint on Python's version"):
        Wish("=>3.9", "pyproject.toml").choose("3.11", OTHERS)


def wish(folder: Path, constraint: str = "", typed: str | None = None) -> Wish:
    return wish_of(folder, constraint, "pyproject.toml", typed, strict=False)[0]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.10\n", "3.10"),
        ("3.10.4\n", "3.10"),
        ("\ufeff3.9\r\n", "3.9"),
        ("cpython-3.12.1-linux-x86_64-gnu", "3.12"),
        ("cpython@3.12", "3.12"),
        ("python3.13", "3.13"),
        ("3.13.0rc1", "3.13"),
        ("\n3.9.7\n3.8.1\n", "3.9"),
        ("# as in production\n3.9  # till 2026\n", "3.9"),
        ("3.8-dev", "3.8"),
        ("3.8.13/envs/project", "3.8"),
    ],
)
def test_a_version_file(tmp_path: Path, text: str, version: str):
    """pyenv's and uv's; the first line counts."""
    fill(tmp_path, {".python-version": text})

    assert wish(tmp_path).choose("3.11", OTHERS) == (version, [])


@pytest.mark.parametrize(
    "text", ["system", "pypy3.9-7.3.8", "my-environment", "", "3", "3.13t", "3.13.1t"]
)
def test_a_version_file_without_a_version(tmp_path: Path, text: str):
    fill(tmp_path, {".python-version": text})

    made, notes = wish_of(tmp_path, ">=3.12", "pyproject.toml", None, strict=False)

    assert made == Wish(">=3.12", "pyproject.toml")
    assert notes == [f".python-version is ignored: {text!r} is not a version"]


def test_which_wish_wins(tmp_path: Path):
    """What is typed; then the version file within the environment file's range; then the latter."""
    fill(tmp_path, {".python-version": "3.10.4"})

    assert wish(tmp_path, ">=3.12", typed="3.9").constraint == "==3.9.*"
    assert wish(tmp_path, typed="3.9.1").constraint == "==3.9.*"
    assert wish(tmp_path, ">=3.8").source == ".python-version"
    _, notes = wish_of(tmp_path, "==3.8.*", "myenv.yml", "3.9", strict=False)
    assert notes == ["--python 3.9 wins over myenv.yml, which asks for python==3.8.*"]
    assert wish_of(tmp_path, ">=3.8", "myenv.yml", "3.9", strict=False)[1] == []
    made, notes = wish_of(tmp_path, "==3.8.*", "myenv.yml", None, strict=False)
    assert made == Wish("==3.8.*", "myenv.yml")
    assert notes == [
        ".python-version is ignored: it has 3.10.4, and myenv.yml asks for python==3.8.*"
    ]


@pytest.mark.parametrize("constraint", ["==3.x", "==3.9a.*", "==three", "=>3.8"])
def test_what_is_no_version(constraint: str):
    with pytest.raises(UsageError, match="is not a valid constraint on Python's version"):
        accepts(constraint, "3.11")


def test_whose_constraint_is_none(tmp_path: Path):
    """The file is named, as a constraint may be far from what was typed last."""
    with pytest.raises(UsageError, match=r"pyproject\.toml: '\^3\.9' is not a valid constraint"):
        wish_of(tmp_path, "^3.9", "pyproject.toml", None, strict=False)


def test_a_version_that_is_typed_wrong(tmp_path: Path):
    with pytest.raises(UsageError, match="--python python3 is not a version"):
        wish(tmp_path, typed="python3")
