"""The swagger documents."""

from __future__ import annotations

from typing import Any

import pytest

from support.server import LiveServer, StartServer

VERSIONS = {"2": ("swagger", "2.0"), "3": ("openapi", "3.0"), "3.1": ("openapi", "3.1")}


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("typed.py")


def _document(server: LiveServer, version: str) -> Any:
    response = server.get(f"/swagger.json?version={version}")
    assert response.status == 200
    return response.json()


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_is_served(server: LiveServer, version: str) -> None:
    key, value = VERSIONS[version]

    assert _document(server, version)[key].startswith(value)


def test_before_a_worker_is_ready_there_is_no_document(own_server: StartServer) -> None:
    server = own_server("gated_init.py", wait="listening")
    server.wait_for_file("init.begun")

    response = server.get("/swagger.json")
    server.make("init.go")
    server.wait_ready()

    assert response.status == 503
    assert response.header("Retry-After")
    assert server.get("/swagger.json").status == 200
