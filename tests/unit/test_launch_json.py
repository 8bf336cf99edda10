"""Putting a configuration into a launch.json that people keep by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
