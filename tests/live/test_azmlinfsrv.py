"""``azmlinfsrv`` as a process: what it prints before it serves, and how it refuses.

What it serves is in ``tests/http/test_drop_in.py``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scorehost import __version__
from support.client import Address
from support.server import COMMANDS, LiveServer, clean_environment, fill, free_port, script_file

Start = Callable[..., LiveServer]

REPORT = """
scorehost {version}, started as azmlinfsrv


Server Settings
---------------
Entry Script Name: {folder}/score.py
Model Directory: m
Config File: None
Worker Count: 2
Worker Timeout (seconds): 300
Server Port: {port}
Health Port: {health_port}
Application Insights Enabled: false
Application Insights Key: None
Inferencing HTTP server version: azmlinfsrv/{version}
CORS for the specified origins: http://a.test, http://b.test
Create dedicated endpoint for health: true


Server Routes
---------------
Liveness Probe: GET   127.0.0.1:{health_port}/
Score:          POST  127.0.0.1:{port}/score

"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command where an echoing score.py and a folder m lie."""
    servers: list[LiveServer] = []

    def call(port: int, *flags: str, **settings: str) -> LiveServer:
        folder = tmp_path / f"app{len(servers)}"
        fill(folder, {"score.py": script_file("echo.py").read_text(), "m/model.pkl": ""})
        command = [str(COMMANDS / "azmlinfsrv"), *flags]
        servers.append(LiveServer(command, folder, settings, Address(port=port)))
        return servers[-1].wait_ready()

    yield call
    for server in servers:
        server.check_stopped()


def test_the_whole_report_comes_first_on_standard_output(start: Start) -> None:
    port, health_port = free_port(), free_port()

    server = start(
        port,
        *("--entry_script", "score.py", "--model_dir", "m", "--worker_count", "2"),
        *("--port", str(port), "--health_port", str(health_port)),
        *("--access_control_allow_origins", "http://a.test, http://b.test"),
    )

    expected = REPORT.format(
        version=__version__, folder=server.folder, port=port, health_port=health_port
    )
    assert server.out[: len(expected)] == expected


def test_variables_apply_where_no_flag_does(start: Start) -> None:
    port = free_port()
    settings = {"SERVER_PORT": str(port), "AZUREML_ENTRY_SCRIPT": "score.py", "WORKER_COUNT": "1"}

    server = start(port, **settings)

    assert server.score("word") == "word"
    assert f"Server Port: {port}" in server.out


def test_a_variable_that_nobody_knows_is_a_warning_in_the_format(start: Start) -> None:
    port = free_port()

    server = start(port, "--entry-script", "score.py", "--port", str(port), SCOREHOST_WORKERS="2")

    line = server.wait_for_line("SCOREHOST_WORKERS")
    assert " W [" in line
    assert "] azmlinfsrv - Unknown setting SCOREHOST_WORKERS" in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--entry_scrpt", "score.py"], "Unexpected '--entry_scrpt'. Did you mean --entry_script?"),
        (
            ["--entry_script", "score.py", "--worker_count", "0"],
            "--worker_count is '0', which is not accepted. "
            "It takes a whole number from 1 to 512, or auto.",
        ),
        (["--port"], "argument --port: expected one argument."),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tmp_path: Path, flags: list[str], said: str) -> None:
    done = subprocess.run(
        [str(COMMANDS / "azmlinfsrv"), *flags],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"azmlinfsrv: {said}\n")
