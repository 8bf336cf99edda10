"""Which Python runs the script: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scorehost import interpreter
from scorehost.errors import UsageError
from scorehost.interpreter import (
    Interpreter,
    active_elsewhere,
    interpreter_of,
    own_interpreter,
    where_scripts_run,
)
from scorehost.settings import Settings


@pytest.fixture(autouse=True)
def _asked_anew() -> None:
    interpreter._asked.cache_clear()


def program(file: Path, answer: str = "[(3, 8, 18), 'cpython']", rest: str = "") -> Path:
    """A program that says of itself what it is told."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\necho "{answer}"\n{rest}\n')
    file.chmod(0o755)
    return file


def found(python: object) -> Interpreter:
    return interpreter_of(Settings(python=str(python)))


def refusal(python: object) -> str:
    with pytest.raises(UsageError) as caught:
        found(python)
    return str(caught.value)


def test_the_servers_own_unless_asked() -> None:
    own = interpreter_of(Settings())

    assert own == own_interpreter()
    assert (own.path, own.version, own.is_own) == (sys.executable, sys.version_info[:3], True)
    assert own.environment({"PYTHONHOME": "/x", "A": "b"}) == {"PYTHONHOME": "/x", "A": "b"}


def test_a_real_one() -> None:
    """Even the server's own is one of the user's when it is named."""
    assert found(sys.executable) == Interpreter(sys.executable, own_interpreter().version)


@pytest.mark.parametrize("name", ["bin/python", "bin/python3"])
def test_a_folder_stands_for_the_python_in_it(tmp_path: Path, name: str) -> None:
    """That of an environment, or the one where its programs are."""
    file = program(tmp_path / "env" / name)

    assert found(tmp_path / "env").path == found(tmp_path / "env" / "bin").path == str(file)
    assert str(found(file)) == f"Python 3.8.18 at {file}"


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A venv is known by the place of its link."""
    program(tmp_path / "real")
    link = tmp_path / "env" / "bin" / "python"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../real")

    assert found(tmp_path / "env").path == str(link)


def test_relative_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = program(tmp_path / "env" / "bin" / "python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert found("env").path == found("~/env").path == found("./env/bin/python").path == str(file)


def test_a_name_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = program(tmp_path / "python3.99")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert found("python3.99").path == str(file)


def test_what_is_no_python(tmp_path: Path) -> None:
    """Each with what was found."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "moved" / "bin").mkdir(parents=True)
    (tmp_path / "moved" / "bin" / "python").symlink_to("nowhere")
    wrong = program(tmp_path / "wrong", "hello", "echo 'cannot do that' >&2; exit 3")
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF and no more")
    broken.chmod(0o755)

    assert "'none': there is no such file or folder. It takes a Python" in refusal("none")
    assert "there is no such file" in refusal("python3.999")
    assert "there is no such file" in refusal("sh"), "on PATH, but by its name no Python"
    assert "is a link to nowhere, which does not exist" in refusal(tmp_path / "gone")
    assert "is a link to nowhere, which does not exist" in refusal(tmp_path / "moved")
    assert "has no bin/python" in refusal(tmp_path / "empty")
    assert "not executable" in refusal(tmp_path / "text")
    assert f"{wrong} is not a Python interpreter; it printed: cannot do that" in refusal(wrong)
    assert "cannot be started (" in refusal(broken)
    assert refusal("none").startswith("--python (SCOREHOST_PYTHON) is ")


def test_one_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_ANSWER_TAKES", 0.2)

    assert "did not answer within 0 s" in refusal(program(tmp_path / "python", "", "sleep 60"))


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 5, 10), (3, 6, 15), (3, 7, 16)])
def test_one_that_is_too_old(tmp_path: Path, version: tuple[int, int, int]) -> None:
    """With the nearest that works."""
    file = program(tmp_path / "python", f"[{version}, 'cpython']")

    said = refusal(file)

    assert f"Python {'.'.join(map(str, version))} at {file} is too old" in said
    assert "Recreate the environment with Python 3.8, the nearest that works" in said


def test_newer_ones_are_tried(tmp_path: Path) -> None:
    assert found(program(tmp_path / "python", "[(3, 17, 0), 'cpython']")).version == (3, 17, 0)


def test_another_implementation(tmp_path: Path) -> None:
    said = refusal(program(tmp_path / "python", "[(3, 10, 14), 'pypy']"))

    assert "is pypy" in said
    assert "Scripts need CPython 3.8 to 3.14" in said


def test_the_environment_of_a_venv(tmp_path: Path) -> None:
    """As its activation has it; other variables stay."""
    file = program(tmp_path / "env" / "bin" / "python")
    (tmp_path / "env" / "pyvenv.cfg").touch()
    given = {
        "PATH": "/usr/bin", "VIRTUAL_ENV": "/server", "PYTHONHOME": "/server",
        "PYTHONPATH": "/mine", "PYTHONEXECUTABLE": "/server/python", "PYTHONPLATLIBDIR": "lib64",
        "LD_LIBRARY_PATH": "/cuda", "CONDA_PREFIX": "/conda", "LANG": "C",
    }  # fmt: skip

    assert found(file).environment(given) == {
        "PATH": f"{tmp_path}/env/bin:/usr/bin", "VIRTUAL_ENV": f"{tmp_path}/env",
        "PYTHONPATH": "/mine", "LD_LIBRARY_PATH": "/cuda", "CONDA_PREFIX": "/conda", "LANG": "C",
    }  # fmt: skip


def test_the_environment_of_conda_and_of_neither(tmp_path: Path) -> None:
    conda = program(tmp_path / "conda" / "bin" / "python")
    (tmp_path / "conda" / "conda-meta").mkdir()
    plain = program(tmp_path / "plain" / "bin" / "python")

    assert found(conda).environment({"VIRTUAL_ENV": "/server"}) == {
        "PATH": f"{tmp_path}/conda/bin{os.pathsep}{os.defpath}", "CONDA_PREFIX": f"{tmp_path}/conda"
    }  # fmt: skip
    assert set(found(plain).environment({"VIRTUAL_ENV": "/server"})) == {"PATH"}


def test_an_active_environment_is_suggested(tmp_path: Path) -> None:
    """The one of a venv before that of conda; not the one that is used, nor what is none."""
    venv, conda = tmp_path / "venv", tmp_path / "conda"
    for folder in (venv, conda):
        program(folder / "bin" / "python")
    both = {"VIRTUAL_ENV": str(venv), "CONDA_PREFIX": str(conda)}

    assert active_elsewhere({}) == ""
    assert active_elsewhere(both, "/elsewhere") == str(venv)
    assert active_elsewhere(both, str(venv)) == ""
    assert active_elsewhere({"CONDA_PREFIX": str(conda)}, "/elsewhere") == str(conda)
    assert active_elsewhere({"VIRTUAL_ENV": str(tmp_path)}, "/elsewhere") == ""
    stale = {"VIRTUAL_ENV": "/gone", "CONDA_PREFIX": str(conda)}
    assert active_elsewhere(stale, "/elsewhere") == str(conda)
    assert f"--python {venv}" in where_scripts_run(own_interpreter(), both)
    assert where_scripts_run(own_interpreter(), {}) == ""
    other = Interpreter("/env/bin/python", (3, 8, 18))
    assert where_scripts_run(other, both).startswith(f"the script runs in {other}, the server in ")


def test_what_can_be_imported_there(tmp_path: Path) -> None:
    real = found(sys.executable)

    assert own_interpreter().has("json")
    assert not own_interpreter().has("no_such_module")
    assert real.has("json")
    assert not real.has("no_such_module")
    assert not Interpreter(str(tmp_path / "gone"), (3, 8, 0)).has("json")
