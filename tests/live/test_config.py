"""``scorehost config`` and ``scorehost models`` as processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import environment, run
from support.server import COMMANDS, fill

KEY = "00000000-1111-2222-3333-444444444444"


def test_where_each_value_comes_from(tmp_path: Path) -> None:
    fill(tmp_path, {"config.json": '{"SERVICE_NAME": "from the file", "WORKER_TIMEOUTS": 1}'})

    settings = {"SERVER_PORT": "8000", "AML_APP_INSIGHTS_KEY": KEY}
    ended = run(tmp_path, "config", "--json", "--workers", "2", "--no-access-log", **settings)

    data = ended.json()
    found = {
        name: (one["value"], one["source"]["kind"], one["source"]["name"])
        for name, one in data["settings"].items()
        if one["source"]["kind"] != "default"
    }
    assert found == {
        "AML_APP_ROOT": (str(tmp_path), "variable", "AML_APP_ROOT"),
        "SERVER_PORT": (8000, "variable", "SERVER_PORT"),
        "WORKER_COUNT": (2, "flag", "--workers"),
        "SERVICE_NAME": ("from the file", "file", str(tmp_path / "config.json")),
        "SCOREHOST_ACCESS_LOG": (False, "flag", "--access-log"),
        "AML_APP_INSIGHTS_KEY": ("***", "variable", "AML_APP_INSIGHTS_KEY"),
    }
    assert [(one["name"], one["nearest"]) for one in data["unknown"]] == [
        ("WORKER_TIMEOUTS", "WORKER_TIMEOUT")
    ]
    assert KEY not in ended.out + ended.err


def test_the_table_says_the_same(tmp_path: Path) -> None:
    ended = run(tmp_path, "config", "score.py", AML_APP_INSIGHTS_KEY=KEY, SCOREHOST_PROT="1")

    assert ended.status == 0
    assert f"Entry script  {tmp_path}/score.py (not found)" in ended.out
    assert "Unknown setting SCOREHOST_PROT (variable). Did you mean SERVER_PORT?" in ended.out
    assert KEY not in ended.out


@pytest.mark.parametrize("command", ["serve", "check", "config", "models"])
@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["--workers", "none"], {}, "--workers is 'none'"),
        ([], {"SERVER_PORT": "http"}, "SERVER_PORT is 'http'"),
        ([], {"AZUREML_CONFIG_FILE": "/nowhere.json"}, "/nowhere.json cannot be read"),
    ],
)
def test_a_bad_setting_is_one_clear_line_and_status_2(
    tmp_path: Path, command: str, arguments: list[str], settings: dict[str, str], said: str
) -> None:
    ended = run(tmp_path, command, *arguments, **settings)

    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_bad_secret_is_not_shown(tmp_path: Path) -> None:
    ended = run(tmp_path, "config", AML_APP_INSIGHTS_ENABLED="true", AML_APP_INSIGHTS_KEY="s3cret")

    assert "Application Insights is disabled: AML_APP_INSIGHTS_KEY is not a UUID." in ended.out
    assert "s3cret" not in ended.out + ended.err


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """`scorehost config | head -1` ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "scorehost", "serve", "--help"],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    assert process.wait(30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_without_standard_output(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m scorehost config >&-"],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "command", [[str(COMMANDS / "scorehost")], [sys.executable, "-m", "scorehost"]]
)
def test_modules_in_the_working_directory_are_not_taken_for_pythons(
    tmp_path: Path, command: list[str]
) -> None:
    """A user's json.py beside the script breaks neither the command nor the check."""
    fill(tmp_path, {"json.py": "raise RuntimeError", "argparse.py": "raise RuntimeError"})
    fill(tmp_path, {"score.py": "def init(): pass\ndef run(data): return 1\n"})

    done = subprocess.run(
        [*command, "check", "score.py"],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_models_in_an_app_root(tmp_path: Path) -> None:
    fill(tmp_path, {"app/azureml-models/m/1/a": "", "app/azureml-models/m/12/b": ""})

    ended = run(tmp_path, "models", "m", AML_APP_ROOT=str(tmp_path / "app"))
    older = run(tmp_path, "models", "m", "--version", "1", "--json", "--app-root", "app")
    missing = run(tmp_path, "models", "n", "--json", "--app-root", "app")

    assert ended.out.splitlines()[0] == str(tmp_path / "app/azureml-models/m/12/b")
    assert json.loads(older.out)["path"] == str(tmp_path / "app/azureml-models/m/1/a")
    assert missing.status == 3
    assert [one["path"] for one in missing.json()["tried"]] == [
        str(tmp_path / "app/azureml-models/n"),
        str(tmp_path / "n"),
    ]


def test_an_interpreter_that_a_file_names_is_not_run(tmp_path: Path) -> None:
    """A folder of somebody else's can be looked at. On the command line it was the user who did."""
    python = tmp_path / "python"
    fill(tmp_path, {"config.json": '{"SCOREHOST_PYTHON": "./python"}', "score.py": ""})
    python.write_text("#!/bin/sh\ntouch ran\necho \"[(3, 8, 1), 'cpython']\"\n")
    python.chmod(0o755)

    from_file = run(tmp_path, "config", "score.py")
    assert f"Script        {python}\n" in from_file.out
    assert not (tmp_path / "ran").exists()

    typed = run(tmp_path, "config", "score.py", "--python", "./python")
    assert f"Script        Python 3.8.1 at {python}\n" in typed.out
