"""From the first moment to the first answer, or to the report that says why there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.processes import in_session
from support.server import LiveServer, StartServer


@pytest.fixture
def starting(own_server: StartServer) -> LiveServer:
    """A server whose init() has begun and waits."""
    server = own_server("gated_init.py", wait="listening")
    server.wait_for_file("init.begun")
    return server


def test_score_says_503_with_retry_after_while_init_runs(starting: LiveServer) -> None:
    refused = starting.post(json=1)
    starting.make("init.go")

    assert refused.status == 503
    assert int(refused.header("Retry-After") or 0) >= 1
    assert "init()" in refused.message
    assert refused.header("x-ms-run-function-failed") == "False"
    assert starting.wait_ready().score() == "scored"


def test_the_port_is_open_before_the_script_is_imported(own_server: StartServer) -> None:
    source = "\n".join(
        [
            "import time",
            "from pathlib import Path",
            "while not (Path(__file__).parent / 'import.go').exists():",
            "    time.sleep(0.005)",
            "def init(): pass",
            "def run(data): return 'imported'",
        ]
    )
    server = own_server(wait="listening", files={"main.py": source})

    live, started = server.get("/livez"), server.get("/startupz")
    server.make("import.go")

    assert live.status == 200
    assert started.status == 503
    assert server.wait_ready().score() == "imported"


def test_output_of_init_is_in_the_log_while_it_runs(starting: LiveServer) -> None:
    starting.wait_for_line("loading the model")

    starting.make("init.go")
    starting.wait_ready()


def test_a_failed_init_ends_with_status_3_and_the_report_last(own_server: StartServer) -> None:
    server = own_server("init_raises.py", wait="")

    status = server.wait_exit()

    assert status == 3
    report = server.log[server.log.index("the model is upside down") :]
    assert "init()" in server.log
    assert 'raise RuntimeError("the model is upside down")' in server.log
    assert "scorehost/" not in report
    assert in_session(server.pid) == []


def test_nothing_follows_the_report(own_server: StartServer) -> None:
    """Whoever looks at the end of the log sees why."""
    server = own_server("init_raises.py", wait="", settings={"SCOREHOST_TERMINATION_LOG": "t.log"})

    assert server.wait_exit() == 3

    told = re.findall(r"[\w.]+", (server.folder / "t.log").read_text())
    logged = re.findall(r"[\w.]+", server.log)
    assert "upside" in told
    assert logged[-len(told) :] == told


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def init(:\n", "SyntaxError"),
        ("import a_module_that_nobody_has\n", "a_module_that_nobody_has"),
        ("def init(): pass\n", "run"),
        ("def run(data): return data\n", "init"),
        ("import sys\nsys.exit(0)\n", "sys.exit"),
        ("import os\ndef init(): os._exit(0)\ndef run(data): return data\n", "init()"),
        ("import os\ndef init(): os.kill(os.getpid(), 11)\ndef run(d): return d\n", "SIGSEGV"),
    ],
)
@pytest.mark.parametrize("preload", ["false", "true"])
def test_any_script_that_cannot_start_ends_with_status_3(
    own_server: StartServer, source: str, said: str, preload: str
) -> None:
    settings = {"WORKER_PRELOAD": preload}
    server = own_server(wait="", files={"main.py": source}, settings=settings)

    assert server.wait_exit() == 3
    assert said in server.log
    assert in_session(server.pid) == []


def test_a_missing_script_ends_with_status_3(own_server: StartServer) -> None:
    server = own_server(wait="", files={"other.py": ""}, arguments=("nothing.py",))

    assert server.wait_exit() == 3
    assert "nothing.py" in server.log


def test_with_several_workers_one_report_is_enough(own_server: StartServer) -> None:
    server = own_server("init_raises.py", wait="", settings={"WORKER_COUNT": "2"})

    assert server.wait_exit() == 3
    assert len(server.lines('raise RuntimeError("the model is upside down")')) == 1


# -- hold ---------------------------------------------------------------------------------


@pytest.fixture
def held(own_server: StartServer) -> LiveServer:
    """A server that stays up although init() failed."""
    server = own_server("init_raises.py", wait="listening", arguments=("--on-init-failure", "hold"))
    server.wait_for_line("the model is upside down")
    return server


def test_hold_stays_live_but_not_ready_and_refers_to_the_reason(held: LiveServer) -> None:
    assert held.get("/livez").status == 200
    for target in ("/readyz", "/startupz", "/"):
        response = held.get(target)
        assert response.status == 503
        failure = response.json()["last_failure"]
        assert (failure["stage"], failure["error"]) == ("init()", "RuntimeError")
        assert held.lines("init_raises.py did not start", f"(reference {failure['reference']})")


def test_hold_refuses_to_score_and_refers_to_the_reason(held: LiveServer) -> None:
    response = held.post(json=1)

    assert response.status == 503
    assert "Running init() failed with RuntimeError; see the log, reference" in response.message
    assert "the model is upside down" not in response.text
    assert held.process.poll() is None


def test_hold_ends_with_status_0_when_it_is_told_to(held: LiveServer) -> None:
    assert held.stop() == 0


# -- termination message ------------------------------------------------------------------


def test_the_report_goes_to_the_termination_log(own_server: StartServer, tmp_path: Path) -> None:
    log = tmp_path / "termination"
    settings = {"SCOREHOST_TERMINATION_LOG": str(log), "SCOREHOST_LOG_FORMAT": "json"}
    server = own_server("init_raises.py", wait="", settings=settings)

    assert server.wait_exit() == 3
    assert "the model is upside down" in log.read_text()
    assert len(log.read_bytes()) <= 4096
    assert any("the model is upside down" in json.dumps(each) for each in server.records())
