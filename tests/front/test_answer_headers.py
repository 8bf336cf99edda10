"""Headers about the server and about run(), on every answer."""

from __future__ import annotations

import re

import pytest

import scorehost
from support.server import LiveServer, StartServer

FAILED = "x-ms-run-function-failed"
EXEC_MS = "x-ms-run-fn-exec-ms"
VERSION = "x-ms-server-version"

EVERYWHERE = [
    ("GET", "/"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/startupz"),
    ("GET", "/swagger.json"),
    ("GET", "/metrics"),
    ("GET", "/nowhere"),
    ("PUT", "/score"),
    ("OPTIONS", "/score"),
]


@pytest.mark.parametrize("value", ["false", "False"])
def test_the_server_version_can_be_left_out(live_server: StartServer, value: str) -> None:
    server = live_server("echo.py", settings={"SERVER_VERSION_LOG_RESPONSE_ENABLED": value})

    assert VERSION not in server.post(json=1).names()
    assert VERSION not in server.get("/nowhere").names()


def test_the_server_version_is_there_when_asked_for(live_server: StartServer) -> None:
    server = live_server("echo.py", settings={"SERVER_VERSION_LOG_RESPONSE_ENABLED": "true"})

    assert server.post(json=1).header(VERSION) == f"scorehost/{scorehost.__version__}"


@pytest.mark.parametrize(("method", "target"), EVERYWHERE)
def test_answers_without_a_run_say_that_it_did_not_fail(
    live_server: StartServer, method: str, target: str
) -> None:
    response = live_server("raises.py").request(method, target)

    assert response.header(FAILED) == "False"
    assert response.header(EXEC_MS) is None


def test_a_run_that_returned_did_not_fail(live_server: StartServer) -> None:
    assert live_server("echo.py").post(json=1).header(FAILED) == "False"


def test_a_run_that_raised_failed(live_server: StartServer) -> None:
    response = live_server("raises.py").post(json=1)

    assert response.status == 500
    assert response.header(FAILED) == "True"


def test_an_input_that_run_never_saw_is_no_failure_of_run(live_server: StartServer) -> None:
    response = live_server("raises.py").post(body=b"\xff\xfe")

    assert response.status == 400
    assert response.header(FAILED) == "False"
    assert response.header(EXEC_MS) is None


@pytest.mark.parametrize("status", [500, 503, 599])
@pytest.mark.parametrize("claimed", [None, "False", "True"])
def test_own_response_with_a_server_error_says_failed(
    live_server: StartServer, status: int, claimed: str | None
) -> None:
    """From status 500 on, whatever the script says about itself."""
    headers = {} if claimed is None else {FAILED: claimed}
    server = live_server("flask_response.py")

    response = server.post(json={"body": "b", "status": status, "headers": headers})

    assert response.status == status
    assert response.all(FAILED) == ["True"]


@pytest.mark.parametrize("failed", [True, False])
def test_aml_response_says_itself_whether_run_failed(
    live_server: StartServer, failed: bool
) -> None:
    message = {"message": "m", "status_code": 200, "run_function_failed": failed}

    response = live_server("aml_response.py").post(json=message)

    assert response.status == 200
    assert response.all(FAILED) == [str(failed)]


def test_time_in_run_has_three_decimals(live_server: StartServer) -> None:
    server = live_server("evaluates.py")

    for source in ("1", "__import__('time').sleep(0.02)"):
        assert re.fullmatch(r"\d+\.\d{3}", server.post(json=source).header(EXEC_MS) or "")


def test_time_in_run_is_the_time_in_run(live_server: StartServer) -> None:
    server = live_server("evaluates.py")

    slow = float(server.post(json="__import__('time').sleep(0.05)").header(EXEC_MS) or "nan")
    fast = [float(server.post(json="1").header(EXEC_MS) or "nan") for _ in range(5)]

    assert 50 <= slow < 5000
    assert 0 < min(fast) < 50


def test_time_in_run_is_told_on_own_responses_too(live_server: StartServer) -> None:
    for script in ("aml_response.py", "flask_response.py"):
        body = {"message": "m", "status_code": 400, "body": "b", "status": 500}
        keys = ("message", "status_code") if script == "aml_response.py" else ("body", "status")

        response = live_server(script).post(json={key: body[key] for key in keys})

        assert response.status in (400, 500)
        assert re.fullmatch(r"\d+\.\d{3}", response.header(EXEC_MS) or "")


def test_time_in_run_is_left_out_when_run_raised(live_server: StartServer) -> None:
    assert live_server("raises.py").post(json=1).header(EXEC_MS) is None


def test_time_in_run_is_told_when_the_result_cannot_be_encoded(live_server: StartServer) -> None:
    """run() did return; what it returned was the trouble."""
    response = live_server("evaluates.py").post(json="object()")

    assert response.status == 500
    assert re.fullmatch(r"\d+\.\d{3}", response.header(EXEC_MS) or "")


def test_every_answer_has_a_date_and_says_how_long_it_is(live_server: StartServer) -> None:
    server: LiveServer = live_server("echo.py")

    for response in (server.post(json=1), server.get("/"), server.get("/nowhere")):
        assert response.header("Content-Length") == str(len(response.body))
        date = response.header("Date") or ""
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
