"""Headers about the server and about run(), on every answer."""

from __future__ import annotations

import pytest

import scorehost
from support.server import StartServer

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


@pytest.mark.parametrize(("method", "target"), [*EVERYWHERE, ("POST", "/score")])
def test_the_server_version_is_on_every_answer(
    live_server: StartServer, method: str, target: str
) -> None:
    response = live_server("raises.py").request(method, target)

    assert response.header(VERSION) == f"scorehost/{scorehost.__version__}"
