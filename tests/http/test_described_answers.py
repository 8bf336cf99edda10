"""What the documents say of the server, held against what the server answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
)

from support.client import Response
from support.server import LiveServer, StartServer

DESCRIBED = Path(__file__).parents[1] / "scripts" / "described"
VALIDATORS = {
    "2": OpenAPIV2SpecValidator,
    "3": OpenAPIV30SpecValidator,
    "3.1": OpenAPIV31SpecValidator,
}


def serve(start: StartServer, script: str) -> LiveServer:
    return start("", files={"main.py": (DESCRIBED / script).read_text()})


def document(server: LiveServer, version: str = "3.1") -> dict[str, Any]:
    return server.get(f"/swagger.json?version={version}").json()


def check(document: dict[str, Any], operation: dict[str, Any], response: Response) -> None:
    """The answer is one of those that are described."""
    described = operation["responses"][str(response.status)]
    assert response.content_type in described["content"]
    for name in described.get("headers", ()):
        assert response.header(name), name
    if response.content_type == "application/json":
        schema = described["content"]["application/json"]["schema"]
        whole = {**schema, "components": document["components"]}
        Draft202012Validator(whole).validate(response.json())


@pytest.mark.parametrize("version", VALIDATORS)
@pytest.mark.parametrize("script", ["power_bi.py", "pydantic_models.py", "raw.py", "no_hints.py"])
def test_served_documents_are_valid(live_server: StartServer, script: str, version: str) -> None:
    served = document(serve(live_server, script), version)

    assert list(VALIDATORS[version](served).iter_errors()) == []


def test_probes_that_are_not_ready_answer_as_described(own_server: StartServer) -> None:
    server = own_server("gated_init.py", wait="listening")
    early = {path: server.get(path) for path in ("/", "/readyz", "/startupz", "/swagger.json")}
    early["/score"] = server.post(json={})
    server.make("init.go")
    server.wait_ready()
    served = document(server)

    for path, answer in early.items():
        assert answer.status == 503
        operations = served["paths"][path]
        check(served, operations["post" if path == "/score" else "get"], answer)
