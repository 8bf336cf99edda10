"""Scripts that take the whole request and may answer with a response of their own."""

from __future__ import annotations

import pytest

from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("raw.py")


def test_head_reaches_a_raw_script_and_stays_without_body(server: LiveServer) -> None:
    with server.connect() as connection:
        head = connection.request("HEAD", "/score")
        after = connection.request("GET", "/livez")

    assert (head.status, head.body) == (200, b"")
    assert after.status == 200


def test_a_raw_script_gets_flasks_request(server: LiveServer) -> None:
    headers = {"Content-Type": "application/json", "X-Custom": "c", "Host": "example.test:81"}

    seen = server.post("/score?q=1", body=b'{"a": 1}', headers=headers).json()

    assert seen == {
        "method": "POST",
        "path": "/score",
        "args": {"q": ["1"]},
        "query": "q=1",
        "body": '{"a": 1}',
        "type": "application/json",
        "custom": "c",
        "json": {"a": 1},
        "remote": "127.0.0.1",
        "host": "example.test:81",
    }


def test_a_target_as_proxies_get_it_is_resolved(server: LiveServer) -> None:
    seen = server.post("http://other.test:81/score?q=1", body=b"x", headers={"Host": "t"}).json()

    assert (seen["path"], seen["args"], seen["host"]) == ("/score", {"q": ["1"]}, "other.test:81")


def test_a_file_that_the_client_has_is_not_sent_again(server: LiveServer) -> None:
    """Flask streams files; an answer that it made 304 must end with its headers."""
    with server.connect() as connection:
        first = connection.request("GET", "/score?this=1")
        tag = first.header("ETag") or ""
        again = connection.request("GET", "/score?this=1", headers=[("If-None-Match", tag)])
        after = connection.request("GET", "/livez")

    assert (first.status, tag[:1]) == (200, '"')
    assert (again.status, again.header("ETag")) == (304, tag)
    assert again.header("Transfer-Encoding") is None
    assert after.status == 200


def test_any_bytes_pass_both_ways(server: LiveServer) -> None:
    body = bytes(range(256)) * 5

    response = server.post("/score?echo=image/png", body=body)

    assert response.status == 200
    assert response.body == body
    assert response.header("Content-Type") == "image/png"


def test_a_large_body_passes_both_ways(server: LiveServer) -> None:
    """Past the mebibyte from which bodies travel differently inside."""
    body = bytes(range(256)) * (3 * 4096 + 1)

    response = server.post("/score?echo=application/octet-stream", body=body)

    assert response.body == body


def test_uploaded_files_and_forms_are_parsed(server: LiveServer) -> None:
    part = (
        b'--b\r\nContent-Disposition: form-data; name="one"; filename="f.txt"\r\n\r\n'
        b"content\r\n--b--\r\n"
    )
    upload = {"Content-Type": "multipart/form-data; boundary=b"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert server.post("/score?file=1", body=part, headers=upload).json() == {"one": "content"}
    assert server.post("/score?form=1", body=b"a=1&b=%20", headers=form).json() == {
        "a": "1",
        "b": " ",
    }


def test_the_mark_sits_on_the_function(live_server: StartServer) -> None:
    """A helper that is marked does not make run() raw."""
    server = live_server("raw_elsewhere.py")

    assert server.post(body=b"x").json() == {"kind": "str"}
    assert server.request("PUT", "/score", body=b"").status == 405


def test_raw_scripts_answer_options_themselves(server: LiveServer) -> None:
    """Also when it looks like a preflight, as long as CORS is not set."""
    preflight = {"Origin": "http://a.test", "Access-Control-Request-Method": "POST"}

    assert server.options().json()["method"] == "OPTIONS"
    assert server.options(headers=preflight).json()["method"] == "OPTIONS"


def test_preflights_of_raw_scripts_are_answered_when_cors_is_set(
    live_server: StartServer,
) -> None:
    server = live_server("raw.py", settings={"AML_CORS_ORIGINS": "*"})
    preflight = {"Origin": "http://a.test", "Access-Control-Request-Method": "PUT"}

    answered = server.options(headers=preflight)

    assert answered.body == b""
    assert answered.header("Access-Control-Allow-Origin") == "*"
    assert server.options().json()["method"] == "OPTIONS"


def test_a_raw_script_may_return_any_value(server: LiveServer) -> None:
    response = server.get("/score")

    assert response.content_type == "application/json"
    assert response.header("x-ms-run-function-failed") == "False"
