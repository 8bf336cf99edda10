"""HTTP/1.1 and 1.0 as clients speak them."""

from __future__ import annotations

import threading

import pytest

from support.client import request_bytes
from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("raw_text.py")


def _score(text: str) -> bytes:
    return request_bytes("POST", "/score", body=text.encode())


# -- connections --------------------------------------------------------------------------


def test_a_connection_is_kept(server: LiveServer) -> None:
    with server.connect() as connection:
        for number in range(5):
            connection.send(_score(str(number)))
            response = connection.read_response()
            assert response.json() == str(number)
            assert "close" not in response.listed("Connection")


def test_a_connection_is_closed_when_the_client_says_so(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.send_request("GET", "/livez", headers=[("Connection", "close")])

        assert "close" in connection.read_response().listed("Connection")
        assert connection.at_end()


# -- pipelining ---------------------------------------------------------------------------


def test_pipelined_answers_keep_their_order_whoever_is_faster(own_server: StartServer) -> None:
    """A probe that could be answered at once waits for the score before it."""
    server = own_server("gated.py")
    with server.connect() as connection:
        connection.send(
            request_bytes("POST", "/score", body=b'"slow"')
            + request_bytes("GET", "/livez")
            + request_bytes("GET", "/nowhere")
        )
        server.wait_for_file("slow.begun")
        assert connection.silent()
        server.make("slow.go")

        assert [connection.read_response().status for _ in range(3)] == [200, 200, 404]


# -- Expect: 100-continue -----------------------------------------------------------------


def test_the_body_is_asked_for_in_turn(own_server: StartServer) -> None:
    """Behind a request that is still being scored: when its answer is out."""
    server = own_server("gated.py")
    headers = [("Expect", "100-continue"), ("Content-Length", "4")]
    with server.connect(5.0) as connection:
        connection.send_request("POST", "/score", body=b'"first"')
        server.wait_for_file("first.begun")
        connection.send(request_bytes("POST", "/score", headers=headers))
        server.make("first.go")

        assert connection.read_response().status == 200
        assert connection.read_response().status == 100
        connection.send(b"null")
        assert connection.read_response().status == 200


def test_a_pipeline_larger_than_any_buffer(server: LiveServer) -> None:
    """A client that writes everything before it reads anything."""
    text = "y" * 50_000
    with server.connect() as connection:
        writer = threading.Thread(target=connection.send, args=(_score(text) * 100,))
        writer.start()
        for _ in range(100):
            assert connection.read_response().json() == text
        writer.join()
