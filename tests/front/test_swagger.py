"""The swagger documents."""

from __future__ import annotations

import json
from typing import Any

import openapi_spec_validator
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


@pytest.mark.parametrize("script", ["typed.py", "echo.py", "raw.py"])
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_is_valid(live_server: StartServer, script: str, version: str) -> None:
    openapi_spec_validator.validate(_document(live_server(script), version))


def test_version_2_is_the_default(server: LiveServer) -> None:
    assert server.get("/swagger.json").json() == _document(server, "2")


@pytest.mark.parametrize("version", ["4", "1", "latest", "", "3.2", "%00"])
def test_an_unknown_version_is_404_and_lists_the_known_ones(
    server: LiveServer, version: str
) -> None:
    response = server.get(f"/swagger.json?version={version}")

    assert response.status == 404
    assert all(known in response.message for known in VERSIONS)


def test_the_document_knows_the_decorators(server: LiveServer) -> None:
    definitions = _document(server, "2")["definitions"]

    assert set(definitions["ServiceInput"]["properties"]) == {"data", "factor"}


def test_a_generic_document_says_why(live_server: StartServer) -> None:
    document = json.dumps(_document(live_server("echo.py"), "3"))

    assert "generic" in document


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("swagger.json", "2"),
        ("swagger2.json", "2"),
        ("swagger3.json", "3"),
        ("swagger3.1.json", "3.1"),
    ],
)
def test_a_file_in_the_app_root_wins(live_server: StartServer, file: str, version: str) -> None:
    mine = {"mine": file}
    server = live_server("echo.py", files={file: json.dumps(mine)})

    assert _document(server, version) == mine
    for other in set(VERSIONS) - {version}:
        assert VERSIONS[other][0] in _document(server, other)


def test_swagger_json_is_also_the_default_answer(live_server: StartServer) -> None:
    server = live_server("echo.py", files={"swagger.json": '{"mine": "swagger.json"}'})

    assert server.get("/swagger.json").json() == {"mine": "swagger.json"}


@pytest.mark.parametrize("version", VERSIONS)
def test_settings_fill_the_document_in(live_server: StartServer, version: str) -> None:
    settings = {
        "SERVICE_NAME": "diabetes",
        "SERVICE_VERSION": "7.2",
        "SERVICE_PATH_PREFIX": "api/v1/service/",
    }
    document = _document(live_server("echo.py", settings=settings), version)

    assert document["info"]["title"] == "diabetes"
    assert document["info"]["version"] == "7.2"
    assert "/api/v1/service/score" in _addresses(document)
    assert "/score" not in _addresses(document)


@pytest.mark.parametrize("version", VERSIONS)
def test_without_settings_the_document_has_defaults(server: LiveServer, version: str) -> None:
    document = _document(server, version)

    assert document["info"]["title"] == "ML service"
    assert document["info"]["version"] == "1.0"
    assert {"/", "/score", "/swagger.json"} <= _addresses(document)


def test_the_prefix_is_for_the_document_only(live_server: StartServer) -> None:
    server = live_server("echo.py", settings={"SERVICE_PATH_PREFIX": "api"})

    assert server.score(1) == 1
    assert server.post("/api/score", json=1).status == 404


def _addresses(document: Any) -> set[str]:
    """The full paths of the operations: what comes before the paths included."""
    servers = [entry["url"] for entry in document.get("servers", [])]
    bases = servers or [document.get("basePath", "")]
    return {base.rstrip("/") + path for base in bases for path in document["paths"]}
