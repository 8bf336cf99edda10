"""What run() returns, and how it arrives."""

from __future__ import annotations

import pytest

from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("evaluates.py")


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("'text'", b'"text"'),
        ("'[1, 2]'", b'"[1, 2]"'),
        ("None", b"{}"),
        ("True", b"true"),
        ("[]", b"[]"),
        ("''", b'""'),
        ("0", b"0"),
    ],
)
def test_the_very_bytes_that_clients_rely_on(server: LiveServer, source: str, body: bytes) -> None:
    response = server.post(json=source)

    assert response.status == 200
    assert response.content_type == "application/json"
    assert response.body == body
