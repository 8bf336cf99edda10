"""How init() and run() are called, and with what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.server import StartServer

# -- run(): one at a time, on the main thread ---------------------------------------------


# -- undecorated --------------------------------------------------------------------------


@pytest.mark.parametrize("body", ['{"data": [1, 2]}', "no JSON at all", "", "Grüße, 世界 🎉", "\0"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
def test_post_gives_run_the_body_as_text(
    live_server: StartServer, body: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    response = live_server("raw_text.py").post(body=body.encode(), headers=headers)

    assert response.status == 200
    assert response.json() == body


@pytest.mark.parametrize("body", [b"\xff", b"ok \xc3", b"\xed\xa0\x80", "ü".encode("latin-1")])
def test_a_body_that_is_not_utf8_is_the_callers_fault(
    live_server: StartServer, body: bytes
) -> None:
    response = live_server("raw_text.py").post(body=body)

    assert response.status == 400
    assert "UTF-8" in response.message


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("?", {}),
        ("?a=1", {"a": 1}),
        ("?a=1&b=[1,2]&c=text&d=null", {"a": 1, "b": [1, 2], "c": "text", "d": None}),
        ("?a=1&a=two&a=3.5", {"a": [1, "two", 3.5]}),
        ('?a={"b":%20true}', {"a": {"b": True}}),
        ("?a=%22quoted%22", {"a": "quoted"}),
        ("?a=one+two%20three", {"a": "one two three"}),
        ("?a=%C3%A9&%C3%BC=1", {"a": "é", "ü": 1}),
        ("?a=&b", {"a": "", "b": ""}),
        ("?a=1=2", {"a": "1=2"}),
        ("?a=%zz", {"a": "%zz"}),
    ],
)
def test_get_gives_run_the_query_as_json(
    live_server: StartServer, query: str, expected: dict[str, Any]
) -> None:
    answer = live_server("raw_text.py").get(f"/score{query}").json()

    assert isinstance(answer, str)
    assert json.loads(answer) == expected


# -- decorated with inference-schema ------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": [[1, 2]], "factor": 3}, [9.0]),
        ({"data": [[1, 2], [3, 4]]}, [6.0, 14.0]),
        ({"data": [[1, 2]], "unknown": 1}, [6.0]),
    ],
)
def test_decorated_run_gets_keyword_values(
    live_server: StartServer, body: Any, expected: Any
) -> None:
    assert live_server("typed.py").score(body) == expected


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json "]
)
def test_decorated_run_takes_json_by_any_spelling(
    live_server: StartServer, content_type: str
) -> None:
    server = live_server("typed.py")

    response = server.post(body=b'{"data": [[1, 2]]}', headers={"Content-Type": content_type})

    assert (response.status, response.json()) == (200, [6.0])


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/xml", "json", ""])
def test_decorated_run_takes_nothing_but_json(
    live_server: StartServer, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    response = live_server("typed.py").post(body=b'{"data": [[1, 2]]}', headers=headers)

    assert response.status == 415
    assert "application/json" in response.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{not json", "JSON"),
        (b"", "empty"),
        (b"[[1, 2]]", "object"),
        (b'"text"', "object"),
        (b"null", "object"),
        (b"{}", "data"),
        (b'{"factor": 2}', "data"),
        (b'{"data": [[1, 2]]', "JSON"),
        (b"\xff\xfe", ""),
    ],
)
def test_decorated_run_refuses_what_is_no_object_of_its_parameters(
    live_server: StartServer, body: bytes, said: str
) -> None:
    headers = {"Content-Type": "application/json"}

    response = live_server("typed.py").post(body=body, headers=headers)

    assert response.status == 400
    assert said.lower() in response.message.lower()


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"data": [[1, 2, 3]]}, "data"),
        ({"data": "no array"}, "data"),
        ({"data": [[1], [2, 3]]}, "data"),
        ({"data": [[1, 2]], "factor": "much"}, "factor"),
    ],
)
def test_a_value_of_the_wrong_type_or_shape_is_the_callers_fault(
    live_server: StartServer, body: Any, parameter: str
) -> None:
    response = live_server("typed.py").post(json=body)

    assert response.status == 400
    assert parameter in response.message


def test_decorated_run_takes_values_from_a_query(live_server: StartServer) -> None:
    response = live_server("typed.py").get("/score?data=[[1,2]]&factor=3.0")

    assert (response.status, response.json()) == (200, [9.0])


# -- request_headers ----------------------------------------------------------------------


def test_request_headers_is_a_dict_of_the_headers(live_server: StartServer) -> None:
    """Under the names that Flask's dict of headers has, however they were sent."""
    headers = {"x-custom": "a, b", "AUTHORIZATION": "Bearer 1", "Content-Type": "text/plain"}

    seen = live_server("headers.py").post(body=b"x", headers=headers).json()

    assert seen["X-Custom"] == "a, b"
    assert seen["Authorization"] == "Bearer 1"
    assert seen["Content-Type"] == "text/plain"
    assert seen["Content-Length"] == "1"
    assert seen["Host"] == "localhost"


def test_request_headers_that_repeat_are_joined(live_server: StartServer) -> None:
    headers = [("X-Custom", "a"), ("x-custom", "b")]

    seen = live_server("headers.py").post(body=b"x", headers=headers).json()

    assert [part.strip() for part in seen["X-Custom"].split(",")] == ["a", "b"]


def test_request_headers_come_with_get_too(live_server: StartServer) -> None:
    seen = live_server("headers.py").get("/score", headers={"X-Custom": "g"}).json()

    assert seen["X-Custom"] == "g"


def test_request_headers_work_beside_decorated_parameters(live_server: StartServer) -> None:
    server = live_server("typed.py")

    assert server.score({"data": [[1, 2]]}, headers={"X-Show": "shown"}) == "shown"


# -- signatures that can't be called ------------------------------------------------------


# -- generated wrappers -------------------------------------------------------------------

WRAPPED = """
events = []
def init():
    events.append("init() of the script")
def run(data):
    return {"events": events, "data": data}
"""


def test_a_wrapper_gives_its_init_and_the_run_of_its_driver_module(
    live_server: StartServer,
) -> None:
    server = live_server("driver.py", files={"wrapped.py": WRAPPED})

    response = server.post(body=b"x")

    assert response.json() == {
        "events": ["init() of the script", "init() of the wrapper"],
        "data": "x",
    }
