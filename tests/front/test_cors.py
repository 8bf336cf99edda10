"""Browsers of other origins."""

from __future__ import annotations

import pytest

from support.server import LiveServer, StartServer

ORIGIN = "Access-Control-Allow-Origin"
HERE = "http://a.test"
THERE = "https://b.test:8080"
ELSEWHERE = "http://evil.test"


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("echo.py", settings={"AML_CORS_ORIGINS": f"{HERE}, {THERE}"})


def _preflight(origin: str, method: str = "POST", headers: str = "content-type") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


@pytest.mark.parametrize(
    "origin",
    [ELSEWHERE, "null", HERE + ".evil.test", "https://a.test", "http://a.test:81", "a.test", "*"],
)
def test_any_other_origin_may_not(server: LiveServer, origin: str) -> None:
    response = server.post(json=1, headers={"Origin": origin})

    assert response.status == 200
    assert response.header(ORIGIN) is None


def test_an_answer_varies_with_the_origin_even_without_one(server: LiveServer) -> None:
    """Or a cache in between gives one origin's answer to another."""
    assert "origin" in server.post(json=1).listed("Vary")


def test_a_star_is_for_every_origin(live_server: StartServer) -> None:
    server = live_server("echo.py", settings={"AML_CORS_ORIGINS": "*"})

    assert server.post(json=1, headers={"Origin": ELSEWHERE}).header(ORIGIN) == "*"
    assert server.options(headers=_preflight(ELSEWHERE)).header(ORIGIN) == "*"


def test_without_the_setting_nothing_is_said(live_server: StartServer) -> None:
    server = live_server("echo.py")

    for response in (
        server.post(json=1, headers={"Origin": HERE}),
        server.options(headers=_preflight(HERE)),
    ):
        assert response.status == 200
        assert not [name for name in response.names() if name.startswith("access-control-")]


def test_a_preflight_is_answered(server: LiveServer) -> None:
    response = server.options(headers=_preflight(HERE, "POST", "content-type, x-request-id"))

    assert response.status in (200, 204)
    assert response.body == b""
    assert response.header(ORIGIN) == HERE
    assert {"get", "post"} <= response.listed("Access-Control-Allow-Methods")
    allowed = response.listed("Access-Control-Allow-Headers")
    assert {"content-type", "x-request-id"} <= allowed or allowed == {"*"}


def test_a_preflight_of_another_origin_gets_no_permission(server: LiveServer) -> None:
    response = server.options(headers=_preflight(ELSEWHERE))

    assert response.header(ORIGIN) is None


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/score", 405),
        ("GET", "/", 200),
        ("GET", "/swagger.json", 200),
        ("GET", "/swagger.json?version=9", 404),
    ],
)
def test_every_answer_may_be_read(
    server: LiveServer, method: str, target: str, status: int
) -> None:
    response = server.request(method, target, headers={"Origin": HERE})

    assert response.status == status
    assert response.header(ORIGIN) == HERE


def test_errors_of_the_script_may_be_read(live_server: StartServer) -> None:
    server = live_server("raises.py", settings={"AML_CORS_ORIGINS": HERE})

    response = server.post(json=1, headers={"Origin": HERE})

    assert response.status == 500
    assert response.header(ORIGIN) == HERE


def test_refusals_may_be_read(server: LiveServer) -> None:
    headers = {"Origin": HERE, "x-request-id": "i" * 101}

    response = server.post(json=1, headers=headers)

    assert response.status == 431
    assert response.header(ORIGIN) == HERE


def test_a_browser_may_see_the_servers_headers(server: LiveServer) -> None:
    exposed = server.post(json=1, headers={"Origin": HERE}).listed("Access-Control-Expose-Headers")

    assert {"x-request-id", "x-ms-run-fn-exec-ms"} <= exposed or exposed == {"*"}


def test_streams_and_own_responses_may_be_read(live_server: StartServer) -> None:
    settings = {"AML_CORS_ORIGINS": HERE}
    stream = live_server("streams.py", settings=settings)
    own = live_server("aml_response.py", settings=settings)

    for response in (
        stream.post(json=[{"yield": "x"}], headers={"Origin": HERE}),
        own.post(json={"message": "m", "status_code": 200}, headers={"Origin": HERE}),
    ):
        assert response.status == 200
        assert response.header(ORIGIN) == HERE


def test_the_servers_word_is_the_only_one(live_server: StartServer) -> None:
    """A script that answers with the header itself would make it two, which browsers refuse."""
    server = live_server("aml_response.py", settings={"AML_CORS_ORIGINS": HERE})
    own = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "x", "X-Own": "1"}
    arguments = {"message": "m", "status_code": 200, "response_headers": own}

    for origin, allowed in ((HERE, [HERE]), (ELSEWHERE, [])):
        response = server.post(json=arguments, headers={"Origin": origin})
        assert response.all(ORIGIN) == allowed
        assert "x" not in response.listed("Access-Control-Expose-Headers")
        assert response.header("X-Own") == "1"


def test_without_the_setting_the_script_decides(live_server: StartServer) -> None:
    server = live_server("aml_response.py")
    arguments = {"message": "m", "status_code": 200, "response_headers": {ORIGIN: "*"}}

    assert server.post(json=arguments, headers={"Origin": HERE}).all(ORIGIN) == ["*"]


@pytest.mark.parametrize("written", [f"{HERE}/", HERE.upper()])
def test_origins_may_be_written_otherwise(live_server: StartServer, written: str) -> None:
    """Browsers send lower case and no slash; people copy theirs out of the address bar."""
    server = live_server("echo.py", settings={"AML_CORS_ORIGINS": written})

    assert server.post(json=1, headers={"Origin": HERE}).header(ORIGIN) == HERE
