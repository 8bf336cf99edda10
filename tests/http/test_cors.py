"""Browsers of other origins."""

from __future__ import annotations

import pytest

from support.server import LiveServer, StartServer

ORIGIN = "Access-Control-Allow-Origin"
HERE = "http://a.test"
THERE = "https://b.test:8080"


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("echo.py", settings={"AML_CORS_ORIGINS": f"{HERE}, {THERE}"})


def _preflight(origin: str, method: str = "POST", headers: str = "content-type") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


@pytest.mark.parametrize("origin", [HERE, THERE])
def test_a_listed_origin_may_read_the_answer(server: LiveServer, origin: str) -> None:
    response = server.post(json=1, headers={"Origin": origin})

    assert response.status == 200
    assert response.header(ORIGIN) == origin
    assert "origin" in response.listed("Vary")


def test_a_preflight_is_answered_before_init_is_done(own_server: StartServer) -> None:
    server = own_server("gated_init.py", wait="listening", settings={"AML_CORS_ORIGINS": HERE})
    server.wait_for_file("init.begun")

    response = server.options(headers=_preflight(HERE))
    refused = server.post(json=1, headers={"Origin": HERE})
    server.make("init.go")
    server.wait_ready()

    assert response.status in (200, 204)
    assert response.header(ORIGIN) == HERE
    assert (refused.status, refused.header(ORIGIN)) == (503, HERE)
