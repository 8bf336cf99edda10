"""Putting a configuration into a launch.json that people keep by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scorehost.commands import launch_json
from scorehost.dev.jsonc import with_configuration, without_comments
from scorehost.dev.places import attach_configuration
from scorehost.errors import UsageError
from scorehost.settings import Settings

MINE = {"name": "mine", "port": 1}

KEPT = """\
{
    // Use IntelliSense to learn about possible attributes.
    "version": "0.2.0",
    "configurations": [
        {
            "name": "Python: current file", /* "name": "mine" */
            "url": "http://x//y", // not a comment inside
            "args": ["]", "}", "\\"configurations\\": ["],
        },
    ],
    "compounds": [],
}
"""


def parsed(text: str) -> dict:
    return json.loads(without_comments(text))


def test_what_is_there_stays():
    after = with_configuration(KEPT, MINE)

    assert parsed(after) == {
        "version": "0.2.0",
        "configurations": [MINE, *parsed(KEPT)["configurations"]],
        "compounds": [],
    }
    for line in KEPT.splitlines():
        assert line in after.splitlines() or line.strip() == '"configurations": ['


def test_a_second_time_changes_nothing():
    once = with_configuration(KEPT, MINE)

    assert with_configuration(once, MINE) == once


def test_one_of_the_same_name_is_replaced():
    after = with_configuration(with_configuration(KEPT, MINE), {"name": "mine", "port": 2})

    assert [each.get("port") for each in parsed(after)["configurations"]] == [2, None]


@pytest.mark.parametrize(
    "before",
    [
        "{}",
        '{\n    "version": "0.2.0"\n}\n',
        '{"configurations": []}',
        '{"configurations": [\n    // none yet\n]}',
        '{"inputs": [{"configurations": 1}], "configurations": [{"name": "a"}]}',
    ],
)
def test_any_shape_of_file(before: str):
    after = parsed(with_configuration(before, MINE))

    assert after.pop("configurations")[0] == MINE
    old = parsed(before)
    old.pop("configurations", None)
    assert after == old


@pytest.mark.parametrize("comment", ["// none yet", "/* none yet */"])
@pytest.mark.parametrize("lead", ["", " ", "\n        "])
def test_a_comment_in_an_empty_list_stays(comment: str, lead: str):
    after = with_configuration(f'{{"configurations": [{lead}{comment}\n    ]}}', MINE)

    assert parsed(after) == {"configurations": [MINE]}
    assert comment in after
    assert with_configuration(after, MINE) == after


@pytest.mark.parametrize("before", [KEPT, "{}\n", '{\n    "configurations": []\n}\n'])
def test_line_ends_stay(before: str):
    after = with_configuration(before.replace("\n", "\r\n"), MINE)

    assert after == with_configuration(before, MINE).replace("\n", "\r\n")


@pytest.mark.parametrize("text", ["", "[", "[]", '{"configurations": 1}', "{'a': 1}"])
def test_what_is_no_launch_json_is_left_alone(text: str):
    with pytest.raises(UsageError):
        with_configuration(text, MINE)


def test_paths(tmp_path: Path):
    settings = Settings(app_root=tmp_path / "app")

    here = attach_configuration(settings, container=False, workspace=tmp_path)
    assert here["pathMappings"] == [
        {"localRoot": "${workspaceFolder}/app", "remoteRoot": str(tmp_path / "app")}
    ]
    inside = attach_configuration(Settings(), container=True, workspace=tmp_path, port=7000)
    assert inside["pathMappings"] == [
        {"localRoot": "${workspaceFolder}", "remoteRoot": "/var/azureml-app"}
    ]
    assert inside["connect"] == {"host": "localhost", "port": 7000}


@pytest.mark.parametrize(
    ("listens_on", "reached_at"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("192.168.1.5", "192.168.1.5"),
        ("0.0.0.0", "localhost"),
        ("::", "localhost"),
    ],
)
def test_the_address(tmp_path: Path, listens_on: str, reached_at: str):
    """Where the debugger listens; or the host that an editor has for the server, if anywhere."""
    settings = Settings(app_root=tmp_path, debug_host=listens_on)

    def connects(**options: Any) -> str:
        configuration = attach_configuration(settings, workspace=tmp_path, **options)
        return str(configuration["connect"]["host"])

    assert connects(container=False) == reached_at
    assert connects(container=True) == "localhost"
    elsewhere = "10.0.0.9" if reached_at == "localhost" else reached_at
    assert connects(container=False, reached_as="10.0.0.9") == elsewhere


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.chdir(folder)
    return launch_json.run(words, {"AML_APP_ROOT": str(folder)})


def test_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    assert run(tmp_path, monkeypatch, "--port", "7000") == 0

    (configuration,) = json.loads(capsys.readouterr().out)["configurations"]
    assert configuration["connect"]["port"] == 7000
    assert configuration["pathMappings"][0]["localRoot"] == "${workspaceFolder}"
    assert not (tmp_path / ".vscode").exists()


def test_written_into_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    file = tmp_path / ".vscode" / "launch.json"
    assert run(tmp_path, monkeypatch, "--write") == 0
    assert parsed(file.read_text())["configurations"][0]["request"] == "attach"

    file.write_text(KEPT)
    run(tmp_path, monkeypatch, "--write")
    run(tmp_path, monkeypatch, "--write", "--container")
    run(tmp_path, monkeypatch, "--write", "--container")

    names = [each["name"] for each in parsed(file.read_text())["configurations"]]
    assert names == [
        "scorehost: attach in container", "scorehost: attach", "Python: current file",
    ]  # fmt: skip
    assert "// Use IntelliSense" in file.read_text()
    assert capsys.readouterr().out.splitlines()[-1].startswith("Nothing to change in")


def test_a_port_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match="--port is 'many'"):
        run(tmp_path, monkeypatch, "--port", "many")


def test_a_port_without_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for words in (["--port"], ["--port", "--write"]):
        with pytest.raises(UsageError, match="argument --port: expected one argument"):
            run(tmp_path, monkeypatch, *words)
    assert list(tmp_path.iterdir()) == []


def test_bytes_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A mark of the encoding, line ends, letters beyond ASCII."""
    file = tmp_path / ".vscode" / "launch.json"
    file.parent.mkdir()
    before = b"\xef\xbb\xbf" + KEPT.replace("attributes", "Größen").replace("\n", "\r\n").encode()
    file.write_bytes(before)

    run(tmp_path, monkeypatch, "--write")

    after = file.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf{\r\n")
    assert after.count(b"\n") == after.count(b"\r\n")
    assert set(before.splitlines()).issubset(after.splitlines())


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes):
    file = tmp_path / ".vscode" / "launch.json"
    file.parent.mkdir()
    file.write_bytes(content)

    assert run(tmp_path, monkeypatch, "--write") == 0
    assert parsed(file.read_text("utf-8"))["version"] == "0.2.0"


def no_folder(place: Path) -> None:
    place.write_text("a file")


def a_folder(place: Path) -> None:
    (place / "launch.json").mkdir(parents=True)


def utf_16(place: Path) -> None:
    place.mkdir()
    (place / "launch.json").write_text(KEPT, "utf-16")


@pytest.mark.parametrize(
    ("make", "said"),
    [(no_folder, ".vscode is a file"), (a_folder, "cannot be read"), (utf_16, "is not UTF-8")],
)
def test_what_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, said: str
):
    make(tmp_path / ".vscode")

    with pytest.raises(UsageError, match=said):
        run(tmp_path, monkeypatch, "--write")
