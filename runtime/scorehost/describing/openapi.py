"""The OpenAPI 3.1 document of a service; the older two are made out of it.

The names of operations and schemas (``RunMLService``, ``ServiceInput``, …) are those that
clients of Azure Machine Learning services were generated from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from scorehost.describing.schema import SCALARS, Schema, needed, ref, types_of

INPUT, OUTPUT, ERROR, STATE = "ServiceInput", "ServiceOutput", "ErrorResponse", "ServerState"
NAMES = (INPUT, OUTPUT, ERROR, STATE)

JSON = "application/json"
TEXT = "text/plain"
BINARY = "application/octet-stream"

RAW_METHODS = ("post", "get", "put", "patch", "delete")


@dataclass(frozen=True)
class Service:
    """What is known about a service.

    Parameters
    ----------
    title, version, prefix : as set: name, version, path that a proxy puts before the routes.
    style : how ``run()`` is called: "plain", "typed" or "raw".
    input, output : schemas of the body and of the answer's body.
    definitions : named schemas those refer to.
    result_type : media type of the answer.
    explanation : the docstring of ``run()``.
    reason : why the input is not described, or "".
    made_by : name and version of the program that wrote the document.
    """

    title: str
    version: str
    prefix: str
    style: str
    input: Schema
    output: Schema
    definitions: Mapping[str, Schema] = field(default_factory=dict)
    result_type: str = JSON
    explanation: str = ""
    reason: str = ""
    made_by: str = ""


def document(service: Service) -> dict[str, Any]:
    """Write the document."""
    roots = [service.input, service.output]
    schemas = {
        INPUT: service.input,
        OUTPUT: service.output,
        ERROR: {"type": "object", "properties": {"message": {"type": "string"}}},
        STATE: {"type": "object", "properties": {"state": {"type": "string"}}},
        **needed(roots, service.definitions),
    }
    return {
        "openapi": "3.1.0",
        "info": _info(service),
        "tags": [
            {"name": "Scoring", "description": "Requests that the entry script answers."},
            {"name": "Operations", "description": "Information about the server itself."},
        ],
        "paths": _paths(service),
        "components": {"schemas": schemas, "securitySchemes": {"Bearer": _BEARER}},
    }


_BEARER = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "For a gateway that requires it, as 'Bearer KEY'; the server itself does not.",
}


def _info(service: Service) -> dict[str, Any]:
    lines = [f"How to call {service.title}."]
    if service.reason:
        lines.append(f"The description of its input is generic: {service.reason}")
    info = {"title": service.title, "version": service.version, "description": "\n\n".join(lines)}
    return {**info, "x-generated-by": service.made_by} if service.made_by else info


def _paths(service: Service) -> dict[str, Any]:
    # Braces would turn the path into a template.
    prefix = quote("/" + service.prefix.strip("/"), safe="/-._~!$&'()*+,;=:@%").rstrip("/")
    paths = {"/": _health(), "/score": _score(service), **_operations()}
    return {prefix + path: item for path, item in paths.items()}


# -- scoring --------------------------------------------------------------------------------


def _score(service: Service) -> dict[str, Any]:
    if service.style == "raw":
        return {method: _raw(service, method) for method in RAW_METHODS}
    return {"post": _post(service), "get": _get(service)}


def _post(service: Service) -> dict[str, Any]:
    return {
        "operationId": "RunMLService",
        "summary": "Score",
        "description": service.explanation or "Run the model on the body and return its result.",
        **_COMMON,
        "requestBody": {
            "required": True,
            "description": "What run() takes.",
            "content": {JSON: {"schema": ref(INPUT)}},
        },
        "responses": _responses(service, "post"),
    }


def _get(service: Service) -> dict[str, Any]:
    operation = {
        "operationId": "RunMLServiceByQuery",
        "summary": "Score with values from the query string",
        "description": "Query parameters are collected into one JSON object, which run() gets "
        "instead of a body. Values that are valid JSON are parsed; a repeated name becomes a list.",
        **_COMMON,
        "responses": _responses(service, "get"),
    }
    parameters = _query_parameters(service.input)
    return {**operation, "parameters": parameters} if parameters else operation


def _raw(service: Service, method: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": "RunMLService" + ("" if method == "post" else "By" + method.capitalize()),
        "summary": f"Score by {method.upper()}",
        "description": service.explanation or "The entry script reads the request itself.",
        **_COMMON,
        "responses": _responses(service, method),
    }
    if method in ("post", "put", "patch"):
        content = {kind: {"schema": ref(INPUT)} for kind in (JSON, BINARY, TEXT)}
        operation["requestBody"] = {"description": "Any content.", "content": content}
    return operation


_COMMON: dict[str, Any] = {"tags": ["Scoring"], "security": [{}, {"Bearer": []}]}


def _query_parameters(schema: Schema) -> list[dict[str, Any]]:
    """One parameter for each property; what is not a scalar travels as JSON."""
    required = schema.get("required", ())
    parameters = []
    for name, described in schema.get("properties", {}).items():
        types = types_of(described)
        scalar = types and SCALARS.issuperset(types)
        form = {"schema": described} if scalar else {"content": {JSON: {"schema": described}}}
        parameters.append({"name": name, "in": "query", "required": name in required, **form})
    return parameters


def _responses(service: Service, method: str) -> dict[str, Any]:
    refusals = {status: _error(said) for status, said in _REFUSALS[service.style, method].items()}
    return {
        "200": {
            "description": "What run() returned.",
            "headers": _RESULT_HEADERS,
            "content": {service.result_type: {"schema": ref(OUTPUT)}},
        },
        **refusals,
        "413": _error("The body is larger than the server's limit."),
        "500": _error("The entry script failed; its log says why."),
        "503": _error("No worker can take the request at the moment.", _RETRY_AFTER),
        "504": _error("run() exceeded its time limit."),
    }


_REFUSALS: dict[tuple[str, str], dict[str, str]] = {
    ("plain", "post"): {"400": "The body is not UTF-8 text."},
    ("plain", "get"): {},
    ("typed", "post"): {
        "400": "The body is not a JSON object, or a value in it is missing or has the wrong type.",
        "415": "The body is not sent as application/json.",
    },
    ("typed", "get"): {"400": "A value is missing or of the wrong type."},
    **{("raw", method): {} for method in RAW_METHODS},
}

_RESULT_HEADERS = {
    "x-request-id": {
        "description": "The request's id: the one that was sent, or else a new one.",
        "schema": {"type": "string"},
    },
    "x-ms-run-fn-exec-ms": {
        "description": "Milliseconds spent in run().",
        "schema": {"type": "number"},
    },
}

_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before trying again.",
        "schema": {"type": "integer"},
    }
}


def _error(description: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    response = {"description": description, "content": {JSON: {"schema": ref(ERROR)}}}
    return {**response, "headers": headers} if headers else response


# -- operations -----------------------------------------------------------------------------


def _health() -> dict[str, Any]:
    return _operation(
        "ServiceHealthCheck",
        "Whether the service is healthy",
        {"200": _text("The body is 'Healthy': init() has succeeded."), "503": _STATE_503},
    )


def _operations() -> dict[str, Any]:
    return {
        "/livez": _operation(
            "Livez", "Whether the server answers", {"200": _state("The server answers.")}
        ),
        "/readyz": _operation(
            "Readyz",
            "Whether a worker can score",
            {"200": _state("A worker can score."), "503": _STATE_503},
        ),
        "/startupz": _operation(
            "Startupz",
            "Whether init() is done, or what it is doing",
            {"200": _state("init() is done."), "503": _STATE_503},
        ),
        "/metrics": _operation(
            "Metrics", "Metrics for Prometheus", {"200": _text("The Prometheus text format.")}
        ),
        "/swagger.json": _swagger(),
    }


def _swagger() -> dict[str, Any]:
    found = {"description": "The document.", "content": {JSON: {"schema": {"type": "object"}}}}
    item = _operation(
        "GetSwaggerSpec",
        "This document",
        {"200": found, "404": _error("That version does not exist."), "503": _NOT_READY},
    )
    version = {
        "name": "version",
        "in": "query",
        "required": False,
        "description": "Swagger 2.0 (the default), OpenAPI 3.0 or OpenAPI 3.1.",
        "schema": {"type": "string", "enum": ["2", "3", "3.1"], "default": "2"},
    }
    item["get"]["parameters"] = [version]
    return item


def _operation(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    operation = {"operationId": name, "summary": summary, "tags": ["Operations"]}
    return {"get": {**operation, "responses": responses}}


def _text(description: str) -> dict[str, Any]:
    return {"description": description, "content": {TEXT: {"schema": {"type": "string"}}}}


def _state(description: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": ref(STATE)}}}


_STATE_503 = {
    **_state("Not yet, or no longer. The body says what the server is doing."),
    "headers": _RETRY_AFTER,
}
_NOT_READY = _error("No worker has described the service yet.", _RETRY_AFTER)
