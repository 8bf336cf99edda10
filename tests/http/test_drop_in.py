"""The other server's command under its own name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import scorehost
from support.client import Address
from support.server import COMMANDS, LiveServer, fill, free_port, script_file

LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [DIWEC] \[\d+\] (azmlinfsrv[.\w]*|[\w.]+) - .*"
)
KEY = "00000000-1111-2222-3333-444444444444"

Start = Callable[..., LiveServer]


@pytest.fixture
def azmlinfsrv(tmp_path: Path) -> Iterator[Start]:
    """Start the command in a folder with a script and a model."""
    started: list[LiveServer] = []

    def start(script: str, *flags: str, **settings: str) -> LiveServer:
        folder = tmp_path / f"app{len(started)}"
        fill(folder, {"m/model.pkl": "", "score.py": script_file(script).read_text()})
        address = Address(port=free_port())
        command = [str(COMMANDS / "azmlinfsrv"), "--entry_script", "score.py"]
        command += ["--port", str(address.port), *flags]
        server = LiveServer(command, folder, settings, address)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.check_stopped()
        server.kill()


def test_the_report_is_on_standard_output(azmlinfsrv: Start) -> None:
    origins = "http://a.test, http://b.test"
    server = azmlinfsrv(
        *("echo.py", "--model_dir", "m", "--worker_count", "2"),
        *("--access_control_allow_origins", origins, "--appinsights_instrumentation_key", KEY),
    ).wait_ready()
    port = server.address.port

    report = [line.strip() for line in server.out.splitlines()]

    assert "Server Settings" in report
    assert "Server Routes" in report
    for start, value in {
        "Entry Script Name": "score.py",
        "Model Directory": "m",
        "Worker Count": "2",
        "Worker Timeout (seconds)": "300",
        "Server Port": str(port),
        "Application Insights Enabled": "true",
        "CORS for the specified origins": "http://a.test",
    }.items():
        [line] = [line for line in report if line.startswith(f"{start}:")]
        assert value in line
    routes = report[report.index("Server Routes") :]
    assert any("GET" in line and f"127.0.0.1:{port}/" in line for line in routes)
    assert any("POST" in line and f"127.0.0.1:{port}/score" in line for line in routes)
    assert KEY not in server.log


def test_it_serves_like_the_other(azmlinfsrv: Start) -> None:
    server = azmlinfsrv("echo.py").wait_ready()

    response = server.post(json={"a": 1})

    assert response.json() == {"a": 1}
    assert response.header("x-ms-server-version") == f"azmlinfsrv/{scorehost.__version__}"
    assert server.get("/").body == b"Healthy"


def test_it_binds_all_addresses(azmlinfsrv: Start) -> None:
    server = azmlinfsrv("echo.py").wait_ready()

    server.address = Address("127.0.0.3", server.address.port)

    assert server.score(1) == 1


def test_prints_and_records_have_the_other_servers_format(azmlinfsrv: Start) -> None:
    server = azmlinfsrv("prints.py").wait_ready()
    server.score("word")

    line = server.wait_for_line("printed word")

    assert LINE.fullmatch(line)
    assert " azmlinfsrv.print - printed word" in line
    assert server.lines("printed word") == [line]
    assert " azmlinfsrv.print - printed in init" in server.wait_for_line("printed in init")


def test_loading_is_told_by_the_loggers_that_people_filter_for(azmlinfsrv: Start) -> None:
    server = azmlinfsrv("echo.py").wait_ready()
    server.score(1)

    lines = [line for line in server.log.splitlines() if LINE.fullmatch(line)]

    assert any(" azmlinfsrv - " in line for line in lines)
    assert any(" azmlinfsrv.user_script - " in line for line in lines)


def test_a_failing_run_is_logged_in_the_format(azmlinfsrv: Start) -> None:
    server = azmlinfsrv("raises.py").wait_ready()

    assert server.post(json=1).status == 500

    server.wait_for_line("ValueError: the-password-is-swordfish")
    assert any(re.search(r" E \[\d+\] azmlinfsrv", line) for line in server.log.splitlines())


def test_models_and_variables_reach_the_script(azmlinfsrv: Start) -> None:
    server = azmlinfsrv(
        "environment.py", "--model_dir", "m", "--appinsights_instrumentation_key", KEY
    ).wait_ready()

    seen = server.score()

    model = Path(seen["environment"]["AZUREML_MODEL_DIR"])
    assert (server.folder / model).resolve() == server.folder / "m"
    assert seen["environment"]["AML_APP_INSIGHTS_ENABLED"] == "true"
    assert seen["environment"]["AML_APP_INSIGHTS_KEY"] == KEY
    assert seen["folder"] == str(server.folder)


def test_a_key_that_is_no_uuid_disables_application_insights(azmlinfsrv: Start) -> None:
    server = azmlinfsrv(
        "environment.py", "--appinsights_instrumentation_key", "no-uuid"
    ).wait_ready()

    assert server.score()["environment"]["AML_APP_INSIGHTS_ENABLED"] == "false"
    assert any("Application Insights" in line and "false" in line for line in server.lines("E"))


def test_cors_takes_the_origins(azmlinfsrv: Start) -> None:
    origin = "http://a.test"
    server = azmlinfsrv("echo.py", "--access_control_allow_origins", origin).wait_ready()

    answer = server.post(json=1, headers={"Origin": origin})

    assert answer.header("Access-Control-Allow-Origin") == origin


def test_the_health_port_is_open_too(azmlinfsrv: Start) -> None:
    health = free_port()
    server = azmlinfsrv("echo.py", "--health_port", str(health)).wait_ready()

    server.address = Address(port=health)

    assert server.get("/").body == b"Healthy"


def test_a_linked_script_is_the_file_it_leads_to(azmlinfsrv: Start, tmp_path: Path) -> None:
    """It finds what lies beside it there."""
    fill(tmp_path / "real", {"score.py": script_file("environment.py").read_text()})
    (tmp_path / "app0").mkdir()
    (tmp_path / "app0" / "link.py").symlink_to(tmp_path / "real" / "score.py")

    server = azmlinfsrv("echo.py", "--entry_script", "link.py").wait_ready()

    assert str(tmp_path / "real") in server.score()["path"]


def test_a_config_file_may_be_named(azmlinfsrv: Start, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"SERVICE_NAME": "configured"}')
    server = azmlinfsrv("echo.py", "--config_file", str(tmp_path / "c.json")).wait_ready()

    assert server.get("/swagger.json").json()["info"]["title"] == "configured"


def test_a_script_that_cannot_start_ends_with_status_3(azmlinfsrv: Start) -> None:
    for script in ("init_raises.py", "takes_args.py"):
        server = azmlinfsrv(script)

        assert server.wait_exit() == 3
    assert "*args" in server.log


def test_it_scores_with_several_workers(azmlinfsrv: Start) -> None:
    server = azmlinfsrv("counts_init.py", "--worker_count", "2").wait_ready()

    assert server.score()["most"] == 1
    assert server.stop() == 0


def test_nothing_to_serve_is_a_usage_error(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    server = LiveServer([str(COMMANDS / "azmlinfsrv")], folder, {}, Address())

    assert server.wait_exit() != 0
    assert "--entry_script" in server.log
    assert "Traceback" not in server.log
