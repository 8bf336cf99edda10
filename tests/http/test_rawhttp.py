"""Scripts that take the whole request and may answer with a response of their own."""

from __future__ import annotations

import pytest

from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("raw.py")


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
)
def test_every_method_reaches_a_raw_script(server: LiveServer, method: str) -> None:
    response = server.request(method, "/score?x=1&x=2&y=%C3%A9", body=b"")

    assert response.status == 200
    assert response.json()["method"] == method
    assert response.json()["args"] == {"x": ["1", "2"], "y": ["é"]}


@pytest.mark.parametrize(
    "package",
    ["azureml.contrib.services", "azureml_inference_server_http.api"],
)
def test_both_legacy_packages_have_the_names(live_server: StartServer, package: str) -> None:
    response = live_server("raw_from.py", settings={"RAW_API": package}).get("/score")

    assert (response.status, response.body) == (201, b"GET")
