"""Properties that hold for any input, tried over sockets with inputs that hypothesis invents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from support.client import STATUS_LINE, request_bytes
from support.server import LiveServer, StartServer

EXAMPLES = 150


@pytest.fixture(scope="module")
def echo(live_server: StartServer) -> LiveServer:
    return live_server("echo.py")


pieces = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"POST /score HTTP/1.1\r\n",
            b"GET /livez HTTP/1.1\r\n",
            b"Host: t\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: close\r\n",
            b"x-request-id: a\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"0\r\n\r\n",
            b"5\r\n",
            b'{"a": 1}',
            b"12345",
            b"\0",
            b"\xff",
            b" ",
            b":",
        ]
    ),
)


@given(data=st.lists(pieces, max_size=12).map(b"".join))
@hypothesis_settings(max_examples=EXAMPLES)
def test_any_bytes_on_the_socket_do_no_harm(echo: LiveServer, data: bytes) -> None:
    """What comes back, if anything, is HTTP; and the next client is served."""
    with echo.connect() as connection:
        connection.send(data)
        connection.half_close()
        answer = connection.read_to_end()

    assert answer == b"" or STATUS_LINE.match(answer.decode("latin-1"))
    assert b"Traceback" not in answer
    assert echo.get("/livez").status == 200


@given(cuts=st.lists(st.integers(1, 150), max_size=10), count=st.integers(1, 4))
@hypothesis_settings(max_examples=EXAMPLES // 3)
def test_requests_may_be_cut_anywhere(echo: LiveServer, cuts: list[int], count: int) -> None:
    one = request_bytes("POST", "/score", body=b'{"a": [1, 2]}')
    data, before = one * count, 0

    with echo.connect() as connection:
        for cut in [*sorted(cuts), len(data)]:
            connection.send(data[before:cut])
            before = max(before, cut)
        for _ in range(count):
            assert connection.read_response().json() == {"a": [1, 2]}
