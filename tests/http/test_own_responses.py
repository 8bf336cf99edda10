"""AMLResponse and Flask's Response: what the script says is what goes out."""

from __future__ import annotations

from typing import Any

import pytest

from support.client import Response
from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("aml_response.py")


def _answer(server: LiveServer, **arguments: Any) -> Response:
    return server.post(json=arguments)


def test_text_goes_out_as_it_is(server: LiveServer) -> None:
    response = _answer(server, message="hé", status_code=202)

    assert (response.status, response.text) == (202, "hé")
    assert response.content_type == "text/html"
