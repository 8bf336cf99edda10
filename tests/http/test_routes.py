"""Which route answers which method, with what."""

from __future__ import annotations

import pytest

from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("echo.py")


def test_root_says_healthy(server: LiveServer) -> None:
    response = server.get("/")

    assert (response.status, response.body) == (200, b"Healthy")
    assert response.content_type.startswith("text/")


def test_root_says_503_and_the_state_until_init_has_succeeded(own_server: StartServer) -> None:
    server = own_server("gated_init.py", wait="listening")
    server.wait_for_file("init.begun")

    before = server.get("/")
    server.make("init.go")
    after = server.wait_ready().get("/")

    assert before.status == 503
    assert "init" in before.text
    assert (after.status, after.body) == (200, b"Healthy")


@pytest.mark.parametrize("target", ["/livez", "/readyz", "/startupz"])
def test_probes_are_fine_when_a_worker_can_score(server: LiveServer, target: str) -> None:
    assert server.get(target).status == 200


def test_probes_tell_three_things_while_init_runs(own_server: StartServer) -> None:
    """The server answers; no worker can score; init() is not done, and this is what it does."""
    server = own_server("gated_init.py", wait="listening")
    server.wait_for_file("init.begun")

    live, ready, started = (server.get(f"/{name}") for name in ("livez", "readyz", "startupz"))
    server.make("init.go")
    server.wait_ready()

    assert live.status == 200
    assert ready.status == 503
    assert started.status == 503
    assert "init()" in started.text
    assert server.get("/startupz").status == 200
