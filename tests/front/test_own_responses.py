"""AMLResponse and Flask's Response: what the script says is what goes out."""

from __future__ import annotations

from typing import Any

import pytest

from support.client import Response
from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("aml_response.py")


def _answer(server: LiveServer, **arguments: Any) -> Response:
    return server.post(json=arguments)


def test_json_str_encodes_the_message(server: LiveServer) -> None:
    message = {"a": [1, None, "é"]}

    response = _answer(server, message=message, status_code=200, json_str=True)

    assert response.content_type == "application/json"
    assert response.json() == message


def test_json_str_quotes_text(server: LiveServer) -> None:
    assert _answer(server, message="m", status_code=200, json_str=True).json() == "m"


@pytest.mark.parametrize("json_str", [True, False])
def test_none_becomes_an_empty_object(server: LiveServer, json_str: bool) -> None:
    response = _answer(server, message=None, status_code=200, json_str=json_str)

    assert response.content_type == "application/json"
    assert response.body == b"{}"


@pytest.mark.parametrize("status", [200, 201, 302, 400, 404, 418, 500, 503])
def test_the_status_is_the_scripts(server: LiveServer, status: int) -> None:
    assert _answer(server, message="m", status_code=status).status == status


def test_a_comma_separated_header_becomes_repeated_headers(server: LiveServer) -> None:
    headers = {"X-Many": "one, two,three", "X-One": "single"}

    response = _answer(server, message="m", status_code=200, response_headers=headers)

    assert response.all("X-Many") == ["one", "two", "three"]
    assert response.all("X-One") == ["single"]


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_the_content_type_may_be_overridden(server: LiveServer, name: str) -> None:
    headers = {name: "text/csv"}

    response = _answer(server, message="a,b", status_code=200, response_headers=headers)

    assert response.all("Content-Type") == ["text/csv"]


def test_an_own_response_is_framed_by_the_server(server: LiveServer) -> None:
    """A script cannot break the connection with a wrong length or a hop-by-hop header."""
    wrong = {"Content-Length": "1", "Transfer-Encoding": "chunked", "Connection": "upgrade"}

    with server.connect() as connection:
        body = b'{"message": "four", "status_code": 200, "response_headers": %s}'
        headers = str(wrong).replace("'", '"').encode()
        first = connection.request("POST", "/score", body=body % headers)
        second = connection.request("GET", "/livez")

    assert (first.status, first.body) == (200, b"four")
    assert second.status == 200


def test_an_own_header_cannot_start_a_new_line(server: LiveServer) -> None:
    """What would split the answer is an error of the script, not an answer."""
    headers = {"X-Split": "a\r\nX-Injected: yes"}

    response = _answer(server, message="m", status_code=200, response_headers=headers)

    assert "x-injected" not in response.names()
    assert response.status == 500


@pytest.mark.parametrize("status", [204, 304])
def test_an_own_response_without_body_stays_without(server: LiveServer, status: int) -> None:
    with server.connect() as connection:
        body = b'{"message": "ignored", "status_code": %d}' % status
        first = connection.request("POST", "/score", body=body)
        second = connection.request("GET", "/livez")

    assert (first.status, first.body) == (status, b"")
    assert second.status == 200


@pytest.mark.parametrize("status", [0, 99, 100, 101, 600, 1000])
def test_a_status_that_is_none_is_an_error_of_the_script(server: LiveServer, status: int) -> None:
    response = server.post(json={"message": "m", "status_code": status})

    assert response.status == 500
    server.wait_for_line(f"result.status_code: {status} is not a status that a response can have")
    assert server.get("/readyz").status == 200


def test_a_flask_response_passes_through(live_server: StartServer) -> None:
    headers = {"X-Own": "1", "Content-Type": "application/xml", "Set-Cookie": "a=b; Path=/"}
    server = live_server("flask_response.py")

    response = server.post(json={"body": "<a/>", "status": 203, "headers": headers})

    assert (response.status, response.body) == (203, b"<a/>")
    assert response.header("X-Own") == "1"
    assert response.header("Set-Cookie") == "a=b; Path=/"
    assert response.header("x-request-id")


def test_a_flask_response_may_repeat_headers(live_server: StartServer) -> None:
    headers = {"Set-Cookie": ["a=1", "b=2"]}

    response = live_server("flask_response.py").post(
        json={"body": "x", "status": 200, "headers": headers}
    )

    assert response.all("Set-Cookie") == ["a=1", "b=2"]
