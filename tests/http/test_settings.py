"""Where settings come from, which source wins, and what they do."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scorehost.settings import declarations
from support.server import SERVE, LiveServer, StartServer, script_file
from support.wait import wait_until

ECHO = script_file("echo.py").read_text()


def _title(server: LiveServer) -> str:
    """The service's name, the setting that shows."""
    title: str = server.get("/swagger.json").json()["info"]["title"]
    return title


def _config(**values: Any) -> str:
    return json.dumps(values)


def test_the_default_comes_last(own_server: StartServer) -> None:
    assert _title(own_server("echo.py")) == "ML service"


def test_the_config_file_in_the_app_root_applies(own_server: StartServer) -> None:
    server = own_server("echo.py", files={"config.json": _config(SERVICE_NAME="file")})

    assert _title(server) == "file"


def test_the_environment_beats_the_config_file(own_server: StartServer) -> None:
    server = own_server(
        "echo.py",
        files={"config.json": _config(SERVICE_NAME="file", SERVICE_VERSION="3")},
        settings={"SERVICE_NAME": "environment"},
    )

    assert _title(server) == "environment"
    assert server.get("/swagger.json").json()["info"]["version"] == "3"


def test_the_command_line_beats_everything(own_server: StartServer) -> None:
    server = own_server(
        "echo.py",
        files={"config.json": _config(SERVICE_NAME="file")},
        settings={"SERVICE_NAME": "environment"},
        arguments=("--service-name", "flag"),
    )

    assert _title(server) == "flag"


def test_a_config_file_may_be_named(own_server: StartServer, tmp_path: Path) -> None:
    """By variable or by flag; the one in the app root is not read then."""
    named = tmp_path / "mine.json"
    named.write_text(_config(SERVICE_NAME="named"))
    root = {"config.json": _config(SERVICE_NAME="root", SERVICE_VERSION="root")}

    variable = own_server("echo.py", files=root, settings={"AZUREML_CONFIG_FILE": str(named)})
    flag = own_server("echo.py", files=root, arguments=("--config-file", str(named)))

    for server in (variable, flag):
        assert _title(server) == "named"
        assert server.get("/swagger.json").json()["info"]["version"] == "1.0"


def test_a_config_file_may_lie_beside_the_script(own_server: StartServer) -> None:
    files = {"code/score.py": ECHO, "code/config.json": _config(SERVICE_NAME="beside")}
    server = own_server(files=files, settings={"AZUREML_ENTRY_SCRIPT": "code/score.py"})

    assert _title(server) == "beside"


def test_the_app_root_comes_before_the_scripts_folder(own_server: StartServer) -> None:
    files = {
        "config.json": _config(SERVICE_NAME="root"),
        "code/score.py": ECHO,
        "code/config.json": _config(SERVICE_NAME="beside"),
    }
    server = own_server(files=files, settings={"AZUREML_ENTRY_SCRIPT": "code/score.py"})

    assert _title(server) == "root"


@pytest.mark.parametrize(
    ("files", "settings"),
    [
        ({"config.json": _config(SERVICE_NAMES="x")}, {}),
        ({"config.json": _config(SCORING_TIMEOUT_MSS=1)}, {}),
        ({}, {"SCOREHOST_MAX_BODY_BYTE": "1"}),
    ],
)
def test_an_unknown_key_is_a_warning_with_the_nearest_name(
    own_server: StartServer, files: dict[str, str], settings: dict[str, str]
) -> None:
    server = own_server("echo.py", files=files, settings=settings)
    [unknown] = settings or json.loads(files["config.json"])

    line = server.wait_for_line(unknown)

    assert unknown[:-1] in line.replace(unknown, "") or unknown + "S" in line
    assert server.score(1) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SCORING_TIMEOUT_MS": "soon"}, ["SCORING_TIMEOUT_MS", "soon", "whole number"]),
        ({"HEALTH_PORT": "70000"}, ["HEALTH_PORT", "70000", "65535"]),
        ({"WORKER_COUNT": "0"}, ["WORKER_COUNT", "auto"]),
        ({"AZUREML_LOG_LEVEL": "LOUD"}, ["AZUREML_LOG_LEVEL", "LOUD", "DEBUG"]),
        ({"AZUREML_CONFIG_FILE": "/nowhere.json"}, ["/nowhere.json"]),
    ],
)
def test_a_bad_value_ends_with_status_2_and_says_what_is_accepted(
    own_server: StartServer, settings: dict[str, str], said: list[str]
) -> None:
    server = own_server("echo.py", wait="", settings=settings)

    assert server.wait_exit() == 2
    assert [part for part in said if part not in server.err] == []
    assert "Traceback" not in server.log


def test_a_bad_flag_is_named_as_it_was_typed(own_server: StartServer) -> None:
    server = own_server("echo.py", wait="", arguments=("--health-port", "many"))

    assert server.wait_exit() == 2
    assert "--health-port" in server.err
    assert "many" in server.err


@pytest.mark.parametrize("content", ["[1]", "{not json", "\xff"])
def test_a_named_config_file_has_to_be_one(own_server: StartServer, content: str) -> None:
    settings = {"AZUREML_CONFIG_FILE": "mine.json"}
    files = {"mine.json": content.encode("latin-1")}
    server = own_server("echo.py", wait="", files=files, settings=settings)

    assert server.wait_exit() == 2
    assert "mine.json" in server.err
    assert "Traceback" not in server.log


@pytest.mark.parametrize("content", ["[1]", "{not json", '{"hidden_size": 768}'])
def test_a_config_json_of_a_models_own_is_passed_over(
    own_server: StartServer, content: str
) -> None:
    """The name is a common one: that it lies there does not make it ours."""
    server = own_server("echo.py", files={"config.json": content})

    server.wait_for_line("config.json", "ignored")
    assert server.score(1) == 1


def test_every_setting_is_in_the_help() -> None:
    command = [*SERVE, "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert [item.flag for item in declarations().values() if item.flag not in shown] == []
    assert [item.variable for item in declarations().values() if item.variable not in shown] == []


# -- what they do -------------------------------------------------------------------------


def test_worker_count_is_the_number_of_processes_that_score(own_server: StartServer) -> None:
    server = own_server("counts_init.py", settings={"WORKER_COUNT": "3"})

    def pids() -> set[int]:
        with ThreadPoolExecutor(8) as clients:
            return {answer["pid"] for answer in clients.map(server.score, range(60))}

    wait_until(lambda: len(pids()) == 3, what="three processes score")
    assert len((server.folder / "init.log").read_text().split()) == 3


def test_worker_count_may_be_auto(own_server: StartServer) -> None:
    server = own_server("counts_init.py", settings={"WORKER_COUNT": "auto"})

    assert server.score(1)["most"] == 1


def test_worker_timeout_bounds_init(own_server: StartServer) -> None:
    """With the stack that shows where it was."""
    server = own_server("slow_init.py", wait="", settings={"WORKER_TIMEOUT": "3"})

    assert server.wait_exit() == 3
    assert server.lines("Error", "3 s", "WORKER_TIMEOUT")
    assert server.lines(">", "time.sleep(0.05)")


def test_worker_timeout_does_not_bound_run(own_server: StartServer) -> None:
    server = own_server("evaluates.py", settings={"WORKER_TIMEOUT": "4"})

    assert server.score("__import__('time').sleep(4.5) or 'done'") == "done"


def test_the_script_sees_the_names_it_may_rely_on(own_server: StartServer) -> None:
    settings = {
        "WORKSPACE_NAME": "ws",
        "HOSTNAME": "host-7",
        "SERVICE_NAME": "svc",
        "APP_INSIGHTS_LOG_RESPONSE_ENABLED": "false",
    }
    server = own_server("environment.py", settings=settings)

    seen = server.score()["environment"]

    assert {name: seen[name] for name in settings} == settings
    assert seen["AML_APP_ROOT"] == str(server.folder)
    assert seen["AZUREML_ENTRY_SCRIPT"].endswith("environment.py")


def test_a_setting_from_the_config_file_reaches_the_script_too(own_server: StartServer) -> None:
    """Scripts read the environment; to them a setting is the same wherever it was made."""
    files = {"config.json": _config(WORKSPACE_NAME="from the file")}
    server = own_server("environment.py", files=files)

    assert server.score()["environment"]["WORKSPACE_NAME"] == "from the file"


KEY = "00000000-1111-2222-3333-444444444444"


@pytest.mark.parametrize(
    ("settings", "enabled"),
    [
        ({"AML_APP_INSIGHTS_ENABLED": "true", "AML_APP_INSIGHTS_KEY": KEY}, "true"),
        ({"AML_APP_INSIGHTS_ENABLED": "true", "AML_APP_INSIGHTS_KEY": "no-uuid"}, "false"),
        ({"AML_APP_INSIGHTS_ENABLED": "true"}, "false"),
        ({"AML_APP_INSIGHTS_ENABLED": "false", "AML_APP_INSIGHTS_KEY": KEY}, "false"),
        ({}, "false"),
    ],
)
def test_app_insights_settings_reach_the_script_checked(
    own_server: StartServer, settings: dict[str, str], enabled: str
) -> None:
    server = own_server("environment.py", settings=settings)

    assert server.score()["environment"]["AML_APP_INSIGHTS_ENABLED"] == enabled


def test_a_key_that_is_no_uuid_is_said_and_not_shown(own_server: StartServer) -> None:
    settings = {"AML_APP_INSIGHTS_ENABLED": "true", "AML_APP_INSIGHTS_KEY": "s3cret-key"}
    server = own_server("environment.py", settings=settings)

    line = server.wait_for_line("AML_APP_INSIGHTS_KEY")

    assert "UUID" in line
    assert "s3cret-key" not in server.log


def test_gunicorns_own_settings_change_nothing(own_server: StartServer) -> None:
    """Exactly one front, whatever the environment says to gunicorn."""
    settings = {
        "WEB_CONCURRENCY": "3",
        "GUNICORN_CMD_ARGS": "--workers 3 --worker-class sync --bind 127.0.0.1:1",
    }
    server = own_server("counts_init.py", settings=settings)

    assert server.score(1)["most"] == 1
    assert server.ports() == {server.address.port}
    assert len((server.folder / "init.log").read_text().split()) == 1


def test_scripts_see_settings_as_they_would_write_them(own_server: StartServer) -> None:
    """Whole numbers without a point, and paths that hold wherever the script goes."""
    given = {"WORKER_TIMEOUT": "60", "SCOREHOST_SHUTDOWN_GRACE": "2.5"}
    files = {
        "main.py": script_file("environment.py").read_text(),
        "c.json": '{"SERVICE_NAME": "s"}',
    }
    server = own_server("", files=files, settings=given, arguments=("--config-file", "c.json"))

    seen = server.score()["environment"]

    assert seen["WORKER_TIMEOUT"] == "60"
    assert seen["SCOREHOST_SHUTDOWN_GRACE"] == "2.5"
    assert seen["AZUREML_CONFIG_FILE"] == str(server.folder / "c.json")
