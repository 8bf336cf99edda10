"""Ids that travel with a request: taken or made, echoed, limited."""

from __future__ import annotations

import pytest

from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("echo.py")


def test_request_id_is_taken_and_echoed(server: LiveServer) -> None:
    response = server.post(json=1, headers={"x-request-id": "mine-1"})

    assert response.status == 200
    assert response.header("x-request-id") == "mine-1"
