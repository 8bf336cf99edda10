"""What an entry script imports from us."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import flask
import numpy as np
import pytest

from scorehost import api
from scorehost.api import AMLRequest, AMLResponse

FAILED = "x-ms-run-function-failed"


def test_the_classes_are_flasks():
    assert issubclass(AMLRequest, flask.Request)
    assert issubclass(AMLResponse, flask.Response)


def test_flask_is_imported_when_a_class_is_asked_for():
    code = """
import sys
from scorehost.api import rawhttp
print("flask" in sys.modules)
from scorehost.api import AMLRequest
print("flask" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]


def test_nothing_else_is_there():
    with pytest.raises(AttributeError, match="no attribute 'Model'"):
        api.Model  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "body", "content_type"),
    [
        (("text", 200), b"text", "text/html; charset=utf-8"),
        ((b"\x00\xff", 200), b"\x00\xff", "text/html; charset=utf-8"),
        ((None, 200), b"{}", "application/json"),
        ((None, 200, {}, True), b"{}", "application/json"),
        (({"a": [1, "é"]}, 200, {}, True), b'{"a": [1, "\\u00e9"]}', "application/json"),
        (("text", 200, {}, True), b'"text"', "application/json"),
        (("", 200), b"", "text/html; charset=utf-8"),
        (("a,b", 200, {"Content-Type": "text/csv"}), b"a,b", "text/csv"),
        (("a,b", 200, {"content-type": "text/csv"}), b"a,b", "text/csv"),
        (("[]", 200, {"Content-Type": "application/x"}, True), b'"[]"', "application/x"),
    ],
)
def test_the_message_and_its_type(arguments: tuple[Any, ...], body: bytes, content_type: str):
    response = AMLResponse(*arguments)

    assert response.get_data() == body
    assert response.headers.getlist("Content-Type") == [content_type]


@pytest.mark.parametrize("status", [200, 204, 404, 503])
def test_the_status(status: int):
    assert AMLResponse("x", status).status_code == status


def test_a_value_with_commas_becomes_repeated_headers():
    response = AMLResponse("x", 200, {"X-Many": "one, two,three", "X-One": "1", "X-Number": 5})

    assert response.headers.getlist("X-Many") == ["one", "two", "three"]
    assert response.headers.getlist("X-One") == ["1"]
    assert response.headers.getlist("X-Number") == ["5"]


@pytest.mark.parametrize("failed", [True, False])
def test_whether_the_run_failed_is_a_header(failed: bool):
    response = AMLResponse("x", 200, run_function_failed=failed)

    assert response.headers.getlist(FAILED) == [str(failed)]


def test_a_header_cannot_hold_a_line_break():
    with pytest.raises(ValueError, match="newline"):
        AMLResponse("x", 200, {"X-Split": "a\r\nX-Injected: yes"})


@pytest.mark.parametrize("message", [np.array([1]), {"a": float("nan")}, {1, 2}])
def test_what_pythons_json_refuses_is_left_to_the_server(message: Any):
    response = AMLResponse(message, 200, json_str=True)

    assert response.unencoded is message
    assert AMLResponse(json.loads("[1]"), 200, json_str=True).unencoded is None
