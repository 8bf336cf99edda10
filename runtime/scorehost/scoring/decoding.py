"""From the bytes of a request to the arguments of ``run()``.

Three styles: plain scripts get text, typed ones (inference-schema) get values by name out of a
JSON object, raw ones get the request itself. Whatever is wrong with the bytes is the caller's
fault and says so; no byte sequence makes anything but a :class:`RequestError` come out.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import orjson

from scorehost.entry_script import EntryScript
from scorehost.errors import UnusableBody, WrongContentType
from scorehost.messages import ScoringRequest

Decoder: TypeAlias = Callable[[ScoringRequest], dict[str, Any]]


def decoder(script: EntryScript) -> Decoder:
    """Make the function that turns a request into keyword arguments for ``run()``."""
    decode = _STYLES[script.style](script)
    if not script.wants_headers:
        return decode

    def with_headers(request: ScoringRequest) -> dict[str, Any]:
        arguments = decode(request)
        arguments["request_headers"] = header_dict(request.headers)
        return arguments

    return with_headers


def header_dict(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Headers as scripts have always seen them: ``X-Request-Id``; repeated ones joined."""
    found: dict[str, str] = {}
    for name, value in headers:
        title = name.title()
        found[title] = f"{found[title]},{value}" if title in found else value
    return found


def _plain(script: EntryScript) -> Decoder:
    name = script.data_parameter or "data"

    def decode(request: ScoringRequest) -> dict[str, Any]:
        if request.method == "GET" or request.method == "HEAD":
            return {name: json.dumps(query_values(request.query))}
        try:
            return {name: str(request.body, "utf-8")}
        except UnicodeDecodeError as error:
            raise UnusableBody(f"The body is not UTF-8 text: {error}") from None

    return decode


def _typed(script: EntryScript) -> Decoder:
    parameters = [
        parameter
        for parameter in inspect.signature(script.run).parameters.values()
        if parameter.name != "request_headers"
    ]

    def decode(request: ScoringRequest) -> dict[str, Any]:
        if request.method == "GET" or request.method == "HEAD":
            return pick(query_values(request.query))
        return pick(json_object(request))

    def pick(given: dict[str, Any]) -> dict[str, Any]:
        arguments = {}
        for parameter in parameters:
            if parameter.name in given:
                arguments[parameter.name] = given[parameter.name]
            elif parameter.default is parameter.empty:
                raise UnusableBody(f"No value is given for the parameter {parameter.name!r}.")
        return arguments

    return decode


def json_object(request: ScoringRequest) -> dict[str, Any]:
    """Read the body as one JSON object."""
    mime = request.content_type.partition(";")[0].strip().lower()
    if mime != "application/json" and not mime.endswith("+json"):
        raise WrongContentType(
            f"The Content-Type is {request.content_type or 'not set'}; "
            "this service takes application/json."
        )
    if not request.body:
        raise UnusableBody("The body is empty; a JSON object is expected.")
    try:
        value = orjson.loads(request.body)
    except ValueError as error:
        raise UnusableBody(f"The body is not JSON: {error}") from None
    if type(value) is not dict:
        raise UnusableBody("The body is JSON but not an object.")
    return value


def query_values(query: str) -> dict[str, Any]:
    """Read a query string: values as JSON where they are, a repeated name as a list."""
    found: dict[str, list[Any]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        found.setdefault(name, []).append(_json_or_text(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _raw(script: EntryScript) -> Decoder:
    from scorehost.api import build_request

    name = script.data_parameter or "request"

    def decode(request: ScoringRequest) -> dict[str, Any]:
        return {name: build_request(request)}

    return decode


_STYLES: dict[str, Callable[[EntryScript], Decoder]] = {
    "plain": _plain,
    "typed": _typed,
    "raw": _raw,
}
