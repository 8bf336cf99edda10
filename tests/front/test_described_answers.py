"""What the documents say of the server, held against what the server answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from support.client import Response
from support.server import LiveServer, StartServer

DESCRIBED = Path(__file__).parents[1] / "scripts" / "described"


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


def test_every_operation_of_the_server_answers_as_described(live_server: StartServer) -> None:
    server = serve(live_server, "no_hints.py")
    served = document(server)
    about_itself = [path for path in served["paths"] if path != "/score"]

    assert len(about_itself) == 6
    for path in about_itself:
        check(served, served["paths"][path]["get"], server.get(path))


def test_the_sample_scores_as_described(live_server: StartServer) -> None:
    server = serve(live_server, "power_bi.py")
    served = document(server)
    sample = served["components"]["schemas"]["ServiceInput"]["examples"][0]

    answer = server.post(json=sample)

    assert answer.status == 200
    check(served, served["paths"]["/score"]["post"], answer)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"[]", "application/json", 400),
        (b'{"Inputs": {"data": 1}, "GlobalParameters": {}}', "application/json", 400),
        (b"{}", "text/plain", 415),
    ],
)
def test_refusals_are_as_described(
    live_server: StartServer, body: bytes, content_type: str, status: int
) -> None:
    server = serve(live_server, "power_bi.py")
    served = document(server)

    answer = server.post(body=body, headers={"Content-Type": content_type})

    assert answer.status == status
    check(served, served["paths"]["/score"]["post"], answer)
