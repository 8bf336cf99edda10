"""Results that are made while they are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.client import Connection, ConnectionEnded
from support.processes import resident_bytes, tree
from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("streams.py")


def _ask(connection: Connection, steps: Any, **headers: str) -> None:
    connection.send_request(
        "POST", "/score", headers=list(headers.items()), body=json.dumps(steps).encode()
    )


def test_each_chunk_arrives_before_the_next_is_made(own_server: StartServer) -> None:
    server = own_server("streams.py")
    steps = [{"yield": "one\n"}, {"wait": "a"}, {"yield": "two\n"}, {"wait": "b"}, {"yield": "3"}]

    with server.connect() as connection:
        _ask(connection, steps)
        head = connection.read_head()
        first = connection.read_chunk()
        assert connection.silent()
        server.make("a")
        second = connection.read_chunk()
        assert connection.silent()
        server.make("b")
        rest = list(connection.iter_chunks())

    assert head.status == 200
    assert head.listed("Transfer-Encoding") == {"chunked"}
    assert (first, second, rest) == (b"one\n", b"two\n", [b"3"])


def test_a_stream_tells_proxies_not_to_buffer(server: LiveServer) -> None:
    response = server.post(json=[{"yield": "x"}])

    assert response.header("X-Accel-Buffering") == "no"
    assert response.header("Content-Length") is None
    assert response.header("x-request-id")
    assert response.header("x-ms-run-function-failed") == "False"


def test_an_ordinary_answer_does_not(live_server: StartServer) -> None:
    assert live_server("echo.py").post(json=1).header("X-Accel-Buffering") is None


def test_text_and_bytes_go_out_verbatim(server: LiveServer) -> None:
    steps = [{"yield": "é"}, {"bytes": "00ff0a"}, {"yield": '"quoted"'}]

    assert server.post(json=steps).chunks == ("é".encode(), b"\x00\xff\n", b'"quoted"')


def test_other_values_go_out_as_one_json_line_each(server: LiveServer) -> None:
    steps = [{"yield": value} for value in ({"a": 1}, [1, 2], 3.5, True, None)]

    lines = server.post(json=steps).body.splitlines(keepends=True)

    assert all(line.endswith(b"\n") for line in lines)
    assert [json.loads(line) for line in lines[:4]] == [{"a": 1}, [1, 2], 3.5, True]
    assert json.loads(lines[4]) in (None, {})


def test_an_empty_chunk_does_not_end_the_stream(server: LiveServer) -> None:
    steps = [{"yield": "a"}, {"yield": ""}, {"bytes": ""}, {"yield": "b"}]

    assert server.post(json=steps).body == b"ab"


def test_a_stream_of_nothing_is_an_empty_answer(server: LiveServer) -> None:
    response = server.post(json=[])

    assert (response.status, response.body) == (200, b"")


def test_run_may_be_a_generator_function_itself(live_server: StartServer) -> None:
    response = live_server("stream_function.py").post(body=b"second")

    assert response.body == b"first\nsecond\n"


def test_many_chunks_arrive_in_order(server: LiveServer) -> None:
    steps = [{"yield": f"{number}\n"} for number in range(5000)]

    answer = server.post(json=steps)

    assert answer.body.split() == [b"%d" % number for number in range(5000)]


def test_a_large_chunk_arrives_whole(live_server: StartServer) -> None:
    text = "x" * 3_000_000

    assert live_server("stream_function.py").post(body=text.encode()).body[6:-1] == text.encode()


def test_the_connection_goes_on_after_a_stream(server: LiveServer) -> None:
    with server.connect() as connection:
        for _ in range(3):
            _ask(connection, [{"yield": "a"}, {"yield": "b"}])
            assert connection.read_response().body == b"ab"


def test_an_http_1_0_client_gets_the_stream_without_chunks(server: LiveServer) -> None:
    body = json.dumps([{"yield": "a"}, {"yield": "b"}]).encode()

    with server.connect() as connection:
        connection.send_request("POST", "/score", body=body, version="1.0")
        response = connection.read_response()
        assert connection.at_end()

    assert (response.status, response.body) == (200, b"ab")
    assert response.header("Transfer-Encoding") is None


def test_an_exception_after_the_first_chunk_aborts_the_connection(server: LiveServer) -> None:
    """No client may take what it has for complete."""
    with server.connect() as connection:
        headers = {"x-request-id": "broken-stream"}
        _ask(connection, [{"yield": "first"}, {"raise": "torn in the middle"}], **headers)
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"first"
        with pytest.raises(ConnectionEnded) as ended:
            connection.read_chunk()

    assert ended.value.received == b""
    server.wait_for_line("torn in the middle")
    server.wait_for_line("broken-stream")
    assert server.post(json=[{"yield": "next"}]).body == b"next"


def test_an_http_1_0_stream_that_breaks_is_reset(server: LiveServer) -> None:
    """Where the end of the connection is the end of the body, only a reset can say so."""
    body = json.dumps([{"yield": "first"}, {"raise": "torn"}]).encode()

    with server.connect() as connection:
        connection.send_request("POST", "/score", body=body, version="1.0")
        connection.read_head()
        connection.read_to_end()

        assert connection.how_ended == "reset"


def test_an_exception_before_the_first_chunk_is_a_500(server: LiveServer) -> None:
    response = server.post(json=[{"raise": "nothing sent yet"}])

    assert response.status == 500
    assert response.message.startswith("An unexpected error occurred in scoring script")
    assert response.header("x-ms-run-function-failed") == "True"


def test_a_value_that_cannot_be_encoded_aborts_the_stream(live_server: StartServer) -> None:
    server = live_server("evaluates.py")
    source = "(value for value in ['first', object()])"

    with server.connect() as connection:
        connection.send_request("POST", "/score", body=json.dumps(source).encode())
        connection.read_head()
        assert connection.read_chunk() == b"first"
        with pytest.raises(ConnectionEnded):
            connection.read_chunk()

    assert server.score("1") == 1


def test_a_client_that_leaves_ends_the_generator(own_server: StartServer) -> None:
    """Its `finally` runs, and the worker is free for the next."""
    server = own_server("streams.py")
    connection = server.connect()
    _ask(connection, [{"endless": "again\n"}])
    connection.read_head()
    connection.read_chunk()

    connection.reset()

    server.wait_for_file("generator.closed")
    assert server.post(json=[{"yield": "free"}]).body == b"free"


def test_a_client_that_does_not_read_costs_no_memory(own_server: StartServer) -> None:
    """The generator waits for it; nothing piles up in between."""
    server = own_server("streams.py")
    with server.connect() as connection:
        _ask(connection, [{"endless": "x" * 1_000_000}])
        connection.read_head()
        assert server.get("/livez").status == 200
        first, second = _resident(server), _resident(server)
        for _ in range(50):
            connection.read_chunk()

        assert server.get("/livez").status == 200
        assert max(first, second, _resident(server)) < 300 << 20

    server.wait_for_file("generator.closed")


def test_a_raw_script_streams_through_its_own_response(own_server: StartServer) -> None:
    server = own_server("raw_stream.py")

    with server.connect() as connection:
        connection.send_request("GET", "/score")
        head = connection.read_head()
        first = connection.read_chunk()
        server.make("second")
        rest = b"".join(connection.iter_chunks())

    assert head.content_type == "text/event-stream"
    assert head.header("X-Accel-Buffering") == "no"
    assert (first, rest) == (b"data: 1\n\n", b"data: 2\n\n")


def _resident(server: LiveServer) -> int:
    """Bytes of memory of the largest process of the server."""
    return max(resident_bytes(process.pid) for process in tree(server.pid))
