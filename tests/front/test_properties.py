"""Properties that hold for any input, tried over sockets with inputs that hypothesis invents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.server import LiveServer, StartServer

EXAMPLES = 150

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def echo(live_server: StartServer) -> LiveServer:
    return live_server("echo.py")


@given(value=json_values)
@example(value="\ud800")
@example(value={"\udfff": 10**400})
@example(value=[[[[[[[[[[]]]]]]]]]])
@example(value=-0.0)
@example(value=5e-324)
@hypothesis_settings(max_examples=EXAMPLES)
def test_any_json_value_survives_an_echo(echo: LiveServer, value: Any) -> None:
    """Except that null comes back as an empty object, as the contract has it."""
    answer = echo.score(value)

    expected = {} if value is None else value
    assert answer == expected
    assert json.dumps(answer) == json.dumps(expected)


@given(body=st.binary(max_size=2000))
@hypothesis_settings(max_examples=EXAMPLES)
def test_any_body_has_an_answer(echo: LiveServer, body: bytes) -> None:
    """Text that is no JSON makes this script raise; bytes that are no text never reach it."""
    response = echo.post(body=body)

    assert response.status in (200, 400, 500)
    assert response.status == 400 or _is_text(body)
    assert echo.get("/readyz").status == 200


@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#")))
@hypothesis_settings(max_examples=EXAMPLES)
def test_any_query_has_an_answer(echo: LiveServer, query: str) -> None:
    response = echo.get(f"/score?{query}")

    assert response.status == 200
    assert isinstance(response.json(), dict)


names = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_!#$%&'*+.^`|~", min_size=1)
values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))


@given(headers=st.lists(st.tuples(names.map("X-".__add__), values), max_size=10))
@hypothesis_settings(max_examples=EXAMPLES)
def test_any_headers_are_passed_over(echo: LiveServer, headers: list[tuple[str, str]]) -> None:
    assert echo.post(json=[1], headers=headers).json() == [1]


def _is_text(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
