"""Ids that travel with a request: taken or made, echoed, limited."""

from __future__ import annotations

import re

import pytest

from support.server import LiveServer, StartServer

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LIMIT = 100
IDS = ["x-request-id", "x-ms-client-request-id", "x-ms-request-id"]


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("echo.py")


def test_missing_request_id_becomes_a_new_uuid(server: LiveServer) -> None:
    made = [server.post(json=1).header("x-request-id") or "" for _ in range(3)]

    assert all(UUID.fullmatch(each) for each in made)
    assert len(set(made)) == 3


def test_empty_request_id_becomes_a_new_uuid(server: LiveServer) -> None:
    response = server.post(json=1, headers={"x-request-id": ""})

    assert UUID.fullmatch(response.header("x-request-id") or "")


def test_ids_are_found_whatever_the_case_of_their_names(server: LiveServer) -> None:
    response = server.post(json=1, headers={"X-REQUEST-ID": "mine", "X-Ms-Client-Request-Id": "c"})

    assert response.header("x-request-id") == "mine"
    assert response.header("x-ms-client-request-id") == "c"


def test_client_request_id_is_echoed_and_fills_the_legacy_id(server: LiveServer) -> None:
    response = server.post(json=1, headers={"x-ms-client-request-id": "client-1"})

    assert response.header("x-ms-client-request-id") == "client-1"
    assert response.header("x-ms-request-id") == "client-1"


def test_without_client_id_there_is_none_in_the_answer(server: LiveServer) -> None:
    response = server.post(json=1)

    assert response.header("x-ms-client-request-id") is None


def test_legacy_id_alone_is_the_client_id_too(server: LiveServer) -> None:
    response = server.post(json=1, headers={"x-ms-request-id": "old-1"})

    assert response.header("x-ms-request-id") == "old-1"
    assert response.header("x-ms-client-request-id") == "old-1"
    assert UUID.fullmatch(response.header("x-request-id") or "")


def test_legacy_id_beside_a_client_id_stays_itself(server: LiveServer) -> None:
    headers = {"x-ms-request-id": "old-2", "x-ms-client-request-id": "client-2"}

    response = server.post(json=1, headers=headers)

    assert response.header("x-ms-request-id") == "old-2"
    assert response.header("x-ms-client-request-id") == "client-2"


def test_legacy_id_is_filled_from_the_request_id_at_last(server: LiveServer) -> None:
    taken = server.post(json=1, headers={"x-request-id": "mine-2"})
    made = server.post(json=1)

    assert taken.header("x-ms-request-id") == "mine-2"
    assert made.header("x-ms-request-id") == made.header("x-request-id")


@pytest.mark.parametrize("name", IDS)
def test_an_id_of_one_hundred_characters_passes(server: LiveServer, name: str) -> None:
    value = "i" * LIMIT

    response = server.post(json=1, headers={name: value})

    assert response.status == 200
    assert response.header(name) == value


@pytest.mark.parametrize("target", ["/score", "/", "/livez", "/nowhere"])
@pytest.mark.parametrize("name", IDS)
def test_a_longer_id_is_refused_under_a_fresh_one(
    server: LiveServer, name: str, target: str
) -> None:
    response = server.request("GET", target, headers={name: "i" * (LIMIT + 1)})

    assert response.status == 431
    assert name in response.message
    assert str(LIMIT) in response.message
    assert UUID.fullmatch(response.header("x-request-id") or "")
    assert "i" * (LIMIT + 1) not in [value for _, value in response.headers]


def test_a_refused_id_is_not_scored(live_server: StartServer) -> None:
    server = live_server("counts_init.py")

    response = server.post(json=1, headers={"x-request-id": "i" * (LIMIT + 1)})

    assert response.status == 431
    assert response.header("x-ms-run-fn-exec-ms") is None
    assert response.header("x-ms-run-function-failed") == "False"


@pytest.mark.parametrize("value", ["trace-1", "t" * 1000])
def test_trace_id_is_echoed_without_a_limit(server: LiveServer, value: str) -> None:
    response = server.post(json=1, headers={"TraceId": value})

    assert response.status == 200
    assert response.header("TraceId") == value


def test_without_trace_id_there_is_none_in_the_answer(server: LiveServer) -> None:
    assert server.post(json=1).header("TraceId") is None


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/readyz", 200),
        ("GET", "/swagger.json", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/score", 405),
        ("OPTIONS", "/score", 200),
        ("GET", "/swagger.json?version=99", 404),
    ],
)
def test_every_answer_carries_the_ids(
    server: LiveServer, method: str, target: str, status: int
) -> None:
    headers = {"x-request-id": "a", "x-ms-client-request-id": "b", "TraceId": "t"}

    response = server.request(method, target, headers=headers)

    assert response.status == status
    assert response.header("x-request-id") == "a"
    assert response.header("x-ms-client-request-id") == "b"
    assert response.header("x-ms-request-id") == "b"
    assert response.header("TraceId") == "t"


def test_a_failed_run_carries_the_ids(live_server: StartServer) -> None:
    response = live_server("raises.py").post(json=1, headers={"x-request-id": "failed-1"})

    assert response.status == 500
    assert response.header("x-request-id") == "failed-1"
    assert response.header("x-ms-request-id") == "failed-1"


def test_ids_of_a_script_that_sets_them_itself_stand_once(live_server: StartServer) -> None:
    """A response of the script's own can't double the server's headers."""
    server = live_server("aml_response.py")
    own = {"message": "m", "status_code": 200, "response_headers": {"x-request-id": "theirs"}}

    response = server.post(json=own, headers={"x-request-id": "mine"})

    assert response.all("x-request-id") == ["mine"]


def test_ids_of_a_script_stand_where_the_server_says_none(live_server: StartServer) -> None:
    """TraceId and the client's id are only the server's when the request had them."""
    own = {"TraceId": "mine", "x-ms-client-request-id": "mine", "Vary": "Accept"}
    server = live_server("aml_response.py")
    sent = {"message": "m", "status_code": 200, "response_headers": own}

    alone = server.post(json=sent)
    asked = server.post(json=sent, headers={"TraceId": "t", "x-ms-client-request-id": "c"})

    assert {name: alone.all(name) for name in own} == {name: [own[name]] for name in own}
    assert asked.all("TraceId") == ["t"]
    assert asked.all("x-ms-client-request-id") == ["c"]


def test_a_trace_id_is_echoed_beside_an_id_that_is_refused(server: LiveServer) -> None:
    response = server.post(json=1, headers={"x-request-id": "x" * 101, "TraceId": "t"})

    assert response.status == 431
    assert response.header("TraceId") == "t"


def test_an_id_that_is_no_ascii_does_no_harm(server: LiveServer) -> None:
    """Bytes above 127 may be echoed or replaced, and nothing else changes."""
    response = server.post(json={"a": 1}, headers={"x-request-id": "caf\xe9"})

    assert response.status == 200
    assert response.json() == {"a": 1}
    assert response.header("x-request-id")


def test_a_repeated_id_counts_once(server: LiveServer) -> None:
    headers = [("x-request-id", "one"), ("x-request-id", "two"), ("Content-Length", "1")]

    response = server.request("POST", "/score", headers=headers, body=b"1")

    assert response.status == 200
    assert len(response.all("x-request-id")) == 1
