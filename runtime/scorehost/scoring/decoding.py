"""From the bytes of a request to the arguments of ``run()``.

Three styles: plain scripts get text, typed ones (inference-schema) get values by name out of a
JSON object, raw ones get the request itself. Whatever is wrong with the bytes is the caller's
fault and says so: nothing but a :class:`RequestError` comes out, whatever the bytes are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from scorehost import fast_json
from scorehost.entry_script import EntryScript
from scorehost.errors import UnusableBody, UnusableParameter, WrongContentType
from scorehost.signatures import HEADERS_PARAMETER, data_parameters
from scorehost.wire.messages import HeaderList, ScoringRequest

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Decoder: TypeAlias = "Callable[[ScoringRequest], dict[str, Any]]"

_QUERY_METHODS: Final = frozenset({"GET", "HEAD"})

_ESCAPED: Final = re.compile("[\udc80-\udcff]")
"""What "surrogateescape" makes of a byte."""

_DIGITS: Final = bytes(ord("0") if chr(i).isdigit() else i for i in range(128))
_SHAPES: Final = bytes(i if i in b"0." else ord(" ") for i in _DIGITS) + b" " * 128
_LONG_INTEGER: Final = b" " + b"0" * 19
"""What an integer that may exceed 64 bits looks like once every digit is a 0, and everything
that is neither digit nor point a blank. orjson would silently make a float of it."""


def decoder(script: EntryScript) -> Decoder:
    """Make the function that turns a request into keyword arguments for ``run()``."""
    decode = _STYLES[script.style](script)
    if not script.wants_headers:
        return decode

    def decode_with_headers(request: ScoringRequest) -> dict[str, Any]:
        arguments = decode(request)
        arguments[HEADERS_PARAMETER] = header_dict(request.headers)
        return arguments

    return decode_with_headers


def _plain(script: EntryScript) -> Decoder:
    name = script.data_parameter or ""

    def decode(request: ScoringRequest) -> dict[str, Any]:
        if request.method in _QUERY_METHODS:
            return {name: json.dumps(query_values(request.query))}
        try:
            return {name: str(request.body, "utf-8")}
        except UnicodeDecodeError as error:
            raise UnusableBody(
                f"The body is not UTF-8 text: {error.reason} at byte {error.start}."
            ) from None

    return decode


def _typed(script: EntryScript) -> Decoder:
    parameters = data_parameters(script.run)

    def decode(request: ScoringRequest) -> dict[str, Any]:
        if request.method in _QUERY_METHODS:
            return pick(parameters, query_values(request.query))
        return pick(parameters, json_object(request.content_type, request.body))

    return decode


def _raw(script: EntryScript) -> Decoder:
    from flask.globals import request as current

    name = script.data_parameter or ""

    def decode(_request: ScoringRequest) -> dict[str, Any]:
        return {name: current._get_current_object()}  # type: ignore[attr-defined]

    return decode


_STYLES: Final[dict[str, Callable[[EntryScript], Decoder]]] = {
    "plain": _plain,
    "typed": _typed,
    "raw": _raw,
}


def pick(parameters: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Take the values of the parameters, and the default of each that is missing.

    Defaults are passed as if they were sent: inference-schema wants every value by name.
    """
    arguments = {}
    for parameter in parameters:
        name = parameter.name
        if name in given:
            arguments[name] = given[name]
        elif parameter.default is Parameter.empty:
            received = ", ".join(repr(key) for key in list(given)[:20]) or "none"
            raise UnusableParameter(
                f"The parameter {name!r} is missing. Parameters received: {received}."
            )
        else:
            arguments[name] = parameter.default
    return arguments


def json_object(content_type: str, body: bytes) -> dict[str, Any]:
    """Read a body that must be one JSON object.

    Raises
    ------
    WrongContentType
        The Content-Type does not say JSON.
    UnusableBody
        The body is empty, not JSON, or not an object.
    """
    if content_type != "application/json" and not is_json(content_type):
        found = f"is {content_type!r}" if content_type else "is missing"
        raise WrongContentType(f"The Content-Type {found}; send application/json.")
    if not body:
        raise UnusableBody("The body is empty; send a JSON object.")
    value = parse_json(body)
    if type(value) is not dict:
        kind = _KINDS[type(value)]
        raise UnusableBody(f"The body is JSON, but it is {kind}; send a JSON object.")
    return value


def is_json(content_type: str) -> bool:
    """Whether a Content-Type says JSON, in any spelling and with any parameters."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


_KINDS: Final[dict[type, str]] = {
    list: "an array", str: "a string", int: "a number", float: "a number",
    bool: "true or false", type(None): "null",
}  # fmt: skip


def parse_json(body: bytes) -> Any:
    """Read JSON: with orjson where that is exact, else with Python's own module.

    Python's module also takes NaN, lone surrogates and integers of any length.
    """
    shape = body.translate(_SHAPES)
    if _LONG_INTEGER in shape or shape.startswith(_LONG_INTEGER[1:]):
        return _parse_exactly(body)
    try:
        return fast_json.loads(body)
    except ValueError:
        return _parse_exactly(body)


def _parse_exactly(body: bytes) -> Any:
    try:
        return json.loads(body)
    except RecursionError:
        raise UnusableBody("The body is nested too deeply.") from None
    except ValueError as error:
        raise UnusableBody(f"The body is not JSON: {error}.") from None


def query_values(query: str) -> dict[str, Any]:
    """Read a query string: values as JSON where they can be, a repeated name as a list."""
    found: dict[str, list[Any]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="surrogateescape"):
        found.setdefault(_as_sent(name), []).append(_json_or_text(_as_sent(value)))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _as_sent(text: str) -> str:
    """Put bytes that are not UTF-8 back as they were sent: ``%FF``."""
    if text.isascii():
        return text
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", text)


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def header_dict(headers: HeaderList) -> dict[str, str]:
    """Return headers under the names that scripts know (``X-Request-Id``), repeated ones joined."""
    found: dict[str, str] = {}
    for name, value in headers:
        title = name.title()
        found[title] = f"{found[title]},{value}" if title in found else value
    return found
