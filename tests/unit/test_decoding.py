"""From the bytes of a request to the arguments of run()."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from scorehost.errors import UnusableBody, UnusableParameter, WrongContentType
from scorehost.scoring.decoding import (
    Decoder,
    decoder,
    header_dict,
    json_object,
    parse_json,
    query_values,
)
from scorehost.scoring.flask_side import environ_of
from scorehost.wire.messages import ScoringRequest
from support.scripts import Loader, get, post, request

PLAIN = "def init(): pass\ndef run({}): return data"


# -- Plain scripts ------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "{}", "no JSON", "Grüße, 世界 🎉", "\0", "\ufeffx"])
def test_a_plain_script_gets_the_body_as_text(scripts: Loader, body: str):
    decode = decoder(scripts.load(PLAIN.format("data")))

    assert decode(post(body)) == {"data": body}


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"\xff", "byte 0"), (b"ok \xc3", "byte 3"), (b"\xed\xa0\x80", "byte 0")],
)
def test_a_body_that_is_not_utf8_is_refused(scripts: Loader, body: bytes, said: str):
    decode = decoder(scripts.load(PLAIN.format("data")))

    with pytest.raises(UnusableBody, match=f"not UTF-8 text: .* at {said}"):
        decode(post(body))


def test_a_get_gives_the_query_as_json_text(scripts: Loader):
    decode = decoder(scripts.load(PLAIN.format("data")))

    assert decode(get("a=1&b=x&b=[2]")) == {"data": '{"a": 1, "b": ["x", [2]]}'}
    assert decode(get()) == {"data": "{}"}


def test_the_data_goes_to_the_first_parameter_that_is_not_the_headers(scripts: Loader):
    decode = decoder(scripts.load("def init(): pass\ndef run(request_headers, x, y=1): pass"))

    arguments = decode(post("text", headers=[("host", "h")]))

    assert arguments == {"x": "text", "request_headers": {"Host": "h"}}


def test_headers_come_only_where_they_are_asked_for(scripts: Loader):
    sent = post("x", headers=[("host", "h")])

    assert decoder(scripts.load(PLAIN.format("data")))(sent) == {"data": "x"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], {}),
        ([("x-request-id", "1"), ("ACCEPT", "*/*")], {"X-Request-Id": "1", "Accept": "*/*"}),
        ([("a", "1"), ("A", "2")], {"A": "1,2"}),
        ([("x", "h\xe9")], {"X": "h\xe9"}),
    ],
)
def test_headers_have_the_names_that_scripts_know(
    headers: list[tuple[str, str]], expected: dict[str, str]
):
    found = header_dict(headers)

    assert found == expected
    assert type(found) is dict


# -- Query strings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("a=1&b=[1,2]&c=text&d=null", {"a": 1, "b": [1, 2], "c": "text", "d": None}),
        ("a=1&a=two&a=3.5", {"a": [1, "two", 3.5]}),
        ('a={"b":%20[1]}', {"a": {"b": [1]}}),
        ("a=%22quoted%22&b='single'", {"a": "quoted", "b": "'single'"}),
        ("a=one+two%20three", {"a": "one two three"}),
        ("%C3%BC=%C3%A9", {"ü": "é"}),
        ("a=&b", {"a": "", "b": ""}),
        ("a=1=2", {"a": "1=2"}),
        ("a=%zz", {"a": "%zz"}),
        ("a=1;b=2", {"a": "1;b=2"}),
        ("&&a=1&", {"a": 1}),
        ("=1", {"": 1}),
        ("a=%ff&%FE=x", {"a": "%FF", "%FE": "x"}),
        ("a=%C3%A9%e9+%ED%B2%80", {"a": "é%E9 %ED%B2%80"}),
        ("a=01", {"a": "01"}),
        ("a=1e3", {"a": 1000.0}),
        ("A=1&a=2", {"A": 1, "a": 2}),
        ("a=" + "[" * 100_000, {"a": "[" * 100_000}),
        ("a=" + "1" * 5_000, {"a": "1" * 5_000}),
    ],
)  # fmt: skip
def test_a_query(query: str, expected: dict[str, Any]):
    assert query_values(query) == expected


# -- Typed scripts ------------------------------------------------------------------------


def test_a_typed_script_gets_values_by_name(scripts: Loader):
    decode = decoder(scripts.named("typed.py"))

    body = '{"data": [[1, 2]], "factor": 3, "unknown": 4}'
    assert decode(post(body, content_type="application/json")) == {"data": [[1, 2]], "factor": 3}
    assert decode(get("data=[[1,2]]&factor=3")) == {"data": [[1, 2]], "factor": 3}


def test_a_missing_value_is_the_default(scripts: Loader):
    decode = decoder(scripts.named("typed.py"))
    expected = {"data": [], "factor": 2.0}

    assert decode(post('{"data": []}', content_type="application/json")) == expected


@pytest.mark.parametrize(
    ("body", "given"), [("{}", "none"), ('{"dta": 1, "factor": 2}', "'dta', 'factor'")]
)
def test_a_missing_value_is_refused_by_name(scripts: Loader, body: str, given: str):
    decode = decoder(scripts.named("typed.py"))

    with pytest.raises(UnusableParameter) as caught:
        decode(post(body, content_type="application/json"))

    assert str(caught.value) == f"The parameter 'data' is missing. Parameters received: {given}."


def test_the_headers_of_a_typed_script_are_no_value(scripts: Loader):
    source = scripts.folder / "score.py"
    source.write_text(
        "from inference_schema.schema_decorators import input_schema\n"
        "from inference_schema.parameter_types.standard_py_parameter_type import *\n"
        "def init(): pass\n"
        "@input_schema('data', StandardPythonParameterType('text'))\n"
        "def run(data, request_headers): pass"
    )
    decode = decoder(scripts.load(source.read_bytes()))
    body = '{"data": "x", "request_headers": "forged"}'

    arguments = decode(post(body, content_type="application/json", headers=[("host", "h")]))

    assert arguments == {"data": "x", "request_headers": {"Host": "h"}}


JSON = "application/json"


@pytest.mark.parametrize(
    "content_type",
    [JSON, "application/json; charset=utf-8", "APPLICATION/JSON", " application/json ;x=y",
     "application/vnd.api+json"],
)  # fmt: skip
def test_json_by_any_spelling(content_type: str):
    assert json_object(content_type, b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        ("", "is missing"),
        ("text/plain", "is 'text/plain'"),
        ("json", "is 'json'"),
        ("application/jsonx", "is"),
        ("text/plain; application/json", "is"),
        ("text/x+json", "is"),
        ("+json", "is"),
    ],
)
def test_anything_else_is_415(content_type: str, said: str):
    with pytest.raises(WrongContentType, match=f"Content-Type {said}.*send application/json") as no:
        json_object(content_type, b'{"a": 1}')
    assert no.value.status == 415


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The body is empty"),
        (b"[1]", "an array; send a JSON object"),
        (b'"text"', "a string;"),
        (b"1", "a number;"),
        (b"1.5", "a number;"),
        (b"true", "true or false;"),
        (b"null", "null;"),
        (b"{no", "not JSON: Expecting property name"),
        (b"{} {}", "not JSON: Extra data"),
        (b'{"a": 1', "not JSON: Expecting"),
        (b"\xff\xfe", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_400(body: bytes, said: str):
    with pytest.raises(UnusableBody, match=said) as no:
        json_object(JSON, body)
    assert no.value.status == 400


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'{"a": [-9223372036854775809]}', {"a": [-9223372036854775809]}),
        (b"[1,18446744073709551616]", [1, 18446744073709551616]),
        (b"[0.12345678901234567890123]", [0.12345678901234567890123]),
        (b'"12345678901234567890123"', "12345678901234567890123"),
        (b'"\\ud800"', "\ud800"),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"Infinity", math.inf),
        ("ü".encode("utf-16"), None),
    ],
)
def test_json_is_read_as_python_reads_it(body: bytes, expected: Any):
    if expected is None:
        with pytest.raises(UnusableBody):
            parse_json(body)
    else:
        assert parse_json(body) == expected
        assert type(parse_json(body)) is type(expected)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES, st.booleans())
@example(10**18, False)
@example([2**64, -(2**63) - 1], True)
@example({"id": "9" * 30}, True)
def test_any_json_value_arrives_as_it_was(value: Any, ascii_only: bool):
    text = json.dumps(value, ensure_ascii=ascii_only)
    body = text.encode("utf-8", "backslashreplace")

    assert parse_json(body) == json.loads(text)


@given(st.binary())
@example(b"{" * 2000)
def test_any_bytes_are_json_or_refused(body: bytes):
    try:
        expected = json.loads(body)
    except ValueError:
        with pytest.raises(UnusableBody):
            parse_json(body)
    else:
        found = parse_json(body)
        assert found == expected or repr(found) == repr(expected)  # NaN


def in_request(decode: Decoder) -> Decoder:
    """What the pipeline puts around the decoder of a raw script."""

    def decode_in_request(sent: ScoringRequest) -> dict[str, Any]:
        with Flask("test").request_context(environ_of(sent)):
            return decode(sent)

    return decode_in_request


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Decoder]]:
    """One of each style."""
    loader = Loader(tmp_path_factory.mktemp("decoders"))
    yield {
        "plain": decoder(loader.load(PLAIN.format("data, request_headers"))),
        "typed": decoder(loader.named("typed.py")),
        "raw": in_request(decoder(loader.named("raw.py"))),
    }
    loader.undo()


@pytest.mark.parametrize("style", ["plain", "typed", "raw"])
@given(
    body=st.binary(),
    query=st.text(st.characters(max_codepoint=255)),  # a target is latin-1
    method=st.sampled_from(["POST", "GET", "PUT"]),
    kind=st.just(JSON) | st.text(),
)
def test_any_request_is_decoded_or_refused(
    decoders: dict[str, Decoder], style: str, body: bytes, query: str, method: str, kind: str
):
    sent = request(method, f"/score?{query}", body, kind)

    try:
        arguments = decoders[style](sent)
    except (UnusableBody, WrongContentType):
        assert style != "raw"
    else:
        assert arguments.keys() <= {"data", "factor", "request", "request_headers"}
