"""HTTP/1.1 and 1.0 as clients speak them."""

from __future__ import annotations

import json
import re

import pytest

from support.client import Connection, chunked, request_bytes
from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("raw_text.py")


def _score(text: str) -> bytes:
    return request_bytes("POST", "/score", body=text.encode())


CHUNKED = request_bytes("POST", "/score", headers=[("Transfer-Encoding", "chunked")])


# -- connections --------------------------------------------------------------------------


def test_a_connection_is_kept_after_errors_of_the_application(server: LiveServer) -> None:
    with server.connect() as connection:
        assert connection.request("GET", "/nowhere").status == 404
        assert connection.request("DELETE", "/score").status == 405
        assert connection.request("POST", "/score", body=b"\xff").status == 400
        assert connection.request("POST", "/score", body=b"x").json() == "x"


def test_http_1_0_closes(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.send(b"GET /livez HTTP/1.0\r\n\r\n")

        assert connection.read_response().status == 200
        assert connection.at_end()


def test_http_1_0_may_ask_to_be_kept(server: LiveServer) -> None:
    with server.connect() as connection:
        for _ in range(2):
            headers = [("Connection", "keep-alive")]
            connection.send_request("POST", "/score", headers=headers, body=b"x", version="1.0")
            response = connection.read_response()
            assert response.json() == "x"
            assert "keep-alive" in response.listed("Connection")


def test_a_client_that_closes_its_half_gets_what_is_there_at_once(server: LiveServer) -> None:
    """As with ``printf … | nc``: a probe is answered. What a worker would have to answer may
    be dropped, since a client that has gone looks the same.
    """
    with server.connect() as connection:
        connection.send(request_bytes("GET", "/livez"))
        connection.half_close()

        assert connection.read_response().status == 200
        assert connection.at_end()
    with server.connect() as connection:
        connection.send(_score("half"))
        connection.half_close()

        answer = connection.read_response_or_end()
        assert answer is None or answer.json() == "half"


def test_a_client_that_leaves_in_the_middle_does_no_harm(server: LiveServer) -> None:
    whole = _score("x" * 1000)
    for length in (1, 10, 30, len(whole) - 1):
        for leave in (Connection.close, Connection.reset):
            connection = server.connect()
            connection.send(whole[:length])
            leave(connection)

    assert server.post(body=b"fine").json() == "fine"


def test_many_connections_at_once(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings={"SCOREHOST_MAX_QUEUE_LENGTH": "200"})
    connections = [server.connect() for _ in range(200)]
    for number, connection in enumerate(connections):
        connection.send(_score(str(number)))

    answers = [connection.read_response().json() for connection in connections]

    assert answers == [str(number) for number in range(200)]


# -- pipelining ---------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.send(b"".join(_score(str(number)) for number in range(20)))

        assert [connection.read_response().json() for _ in range(20)] == [
            str(number) for number in range(20)
        ]


def test_a_pipelined_request_after_close_is_not_answered(server: LiveServer) -> None:
    with server.connect() as connection:
        closing = request_bytes("GET", "/livez", headers=[("Connection", "close")])
        connection.send(closing + _score("too late"))

        assert connection.read_response().status == 200
        assert connection.at_end()


# -- the same again -----------------------------------------------------------------------

SAME = {
    "score": request_bytes("POST", "/score", body=b"x"),
    "score by query": request_bytes("GET", "/score?a=1&a=2"),
    "ids": request_bytes(
        "POST",
        "/score",
        headers=[
            *(("x-request-id", "r"), ("x-ms-client-request-id", "c"), ("x-ms-request-id", "l")),
            ("TraceId", "t"),
        ],
        body=b"x",
    ),
    "a long id": request_bytes("POST", "/score", headers=[("x-request-id", "i" * 101)], body=b"x"),
    "close": request_bytes("POST", "/score", headers=[("Connection", "close")], body=b"x"),
    "HTTP/1.0": request_bytes("POST", "/score", body=b"x", version="1.0"),
    "HTTP/1.0, kept": request_bytes(
        "POST", "/score", headers=[("Connection", "keep-alive")], body=b"x", version="1.0"
    ),
    "chunks": CHUNKED + chunked(b"one", b"two"),
    "Expect": request_bytes("POST", "/score", headers=[("Expect", "100-continue")], body=b"x"),
    "an origin": request_bytes("POST", "/score", headers=[("Origin", "http://a.test")], body=b"x"),
    "a preflight": request_bytes(
        "OPTIONS",
        "/score",
        headers=[("Origin", "http://a.test"), ("Access-Control-Request-Method", "POST")],
    ),
    "HEAD": request_bytes("HEAD", "/livez"),
    "HEAD of score": request_bytes("HEAD", "/score?a=1"),
    "GET with a body": request_bytes("GET", "/score?a=1", body=b"ignored"),
    "no UTF-8": request_bytes("POST", "/score", body=b"\xff"),
    "no route": request_bytes("POST", "/nowhere", body=b"x"),
    "no method": request_bytes("DELETE", "/score", body=b"x"),
    "too large": request_bytes("POST", "/score", body=b"x" * 2000),
    "an upgrade": request_bytes(
        "GET", "/livez", headers=[("Connection", "Upgrade"), ("Upgrade", "h2c")]
    ),
    "an absolute target": request_bytes("GET", "http://test/score?a=1"),
    "two lengths": request_bytes(
        "POST", "/score", headers=[("Content-Length", "1"), ("Content-Length", "2")], body=b"xx"
    ),
}
# What differs from one answer to the next, and the interim answer, which is at will.
ONLY_ONCE = re.compile(
    rb"(?i)date: [^\r]*\r\n"
    rb"|x-ms-run-fn-exec-ms: [^\r]*\r\n"
    rb"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    rb"|HTTP/1.1 100 Continue\r\n\r\n"
)
LAST = request_bytes("GET", "/last", headers=[("Connection", "close")])


@pytest.mark.parametrize("what", SAME)
def test_a_request_is_answered_alike_each_time(live_server: StartServer, what: str) -> None:
    """Whatever a server remembers of requests before: of others, or on the same connection."""
    settings = {"SCOREHOST_MAX_BODY_BYTES": "1000", "AML_CORS_ORIGINS": "http://a.test"}
    server = live_server("raw_text.py", settings=settings)

    def ask(data: bytes) -> bytes:
        with server.connect() as connection:
            connection.send(data + LAST)
            return ONLY_ONCE.sub(b"", connection.read_to_end())

    answers = [ask(SAME[what]) for _ in range(4)]

    assert answers == answers[:1] * 4
    if b"/last" in answers[0]:
        own, last = answers[0].rsplit(b"HTTP/1.1 404", 1)
        assert ask(SAME[what] * 3) == own * 3 + b"HTTP/1.1 404" + last
    else:
        assert ask(SAME[what] * 3) == answers[0]


# -- requests in pieces -------------------------------------------------------------------


def test_a_request_may_come_byte_by_byte(server: LiveServer) -> None:
    with server.connect() as connection:
        for byte in _score("bytes"):
            connection.send(bytes([byte]))

        assert connection.read_response().json() == "bytes"


@pytest.mark.parametrize("body", [b"", b"a", b"x" * 70_000, b"y" * 3_000_000])
def test_bodies_of_every_size(server: LiveServer, body: bytes) -> None:
    response = server.post(body=body)

    assert response.status == 200
    assert response.json() == body.decode()


@pytest.mark.parametrize("pieces", [(), (b"one",), (b"a", b"b" * 70_000, b"c"), (b"z",) * 1000])
def test_chunked_bodies(server: LiveServer, pieces: tuple[bytes, ...]) -> None:
    with server.connect() as connection:
        connection.send(CHUNKED + chunked(*pieces))
        assert connection.read_response().json() == b"".join(pieces).decode()
        assert connection.request("POST", "/score", body=b"next").json() == "next"


def test_a_chunked_body_may_come_byte_by_byte(server: LiveServer) -> None:
    with server.connect() as connection:
        for byte in CHUNKED + chunked(b"one", b"two"):
            connection.send(bytes([byte]))

        assert connection.read_response().json() == "onetwo"


def test_chunk_extensions_and_trailers_are_passed_over(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.send(
            CHUNKED
            + b"3;name=value\r\none\r\n3\r\ntwo\r\n0\r\nX-Trailer: 1\r\n\r\n"
            + _score("next")
        )
        assert connection.read_response().json() == "onetwo"
        assert connection.read_response().json() == "next"


def test_chunk_sizes_may_be_upper_case_and_padded(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.send(CHUNKED + b"00A\r\n0123456789\r\n0\r\n\r\n")

        assert connection.read_response().json() == "0123456789"


def test_a_body_with_get_is_passed_over(server: LiveServer) -> None:
    with server.connect() as connection:
        assert connection.request("GET", "/livez", body=b"ignored").status == 200
        assert connection.request("GET", "/score?a=1", body=b"ignored").json() == '{"a": 1}'


# -- Expect: 100-continue -----------------------------------------------------------------


def test_the_body_is_asked_for(server: LiveServer) -> None:
    with server.connect() as connection:
        headers = [("Expect", "100-continue"), ("Content-Length", "4")]
        connection.send(request_bytes("POST", "/score", headers=headers))
        interim = connection.read_response()
        connection.send(b"body")

        assert interim.status == 100
        assert connection.read_response().json() == "body"


def test_a_body_that_will_not_be_taken_is_not_asked_for(live_server: StartServer) -> None:
    server = live_server("raw_text.py", settings={"SCOREHOST_MAX_BODY_BYTES": "10"})
    headers = [("Expect", "100-continue"), ("Content-Length", "11")]

    with server.connect() as connection:
        connection.send(request_bytes("POST", "/score", headers=headers))

        assert connection.read_response().status == 413


def test_http_1_0_is_not_asked_for_its_body(server: LiveServer) -> None:
    """The older version knows no interim answers."""
    with server.connect() as connection:
        headers = [("Expect", "100-continue")]
        connection.send_request("POST", "/score", headers=headers, body=b"x", version="1.0")

        assert connection.read_response().status == 200


def test_an_expectation_that_nobody_knows_is_refused_or_ignored(server: LiveServer) -> None:
    headers = {"Expect": "miracles"}

    assert server.post(body=b"x", headers=headers).status in (200, 417)


# -- request targets ----------------------------------------------------------------------


def test_an_absolute_target_is_understood(server: LiveServer) -> None:
    """As every server must, proxies or not."""
    assert server.get("http://test:1/livez").status == 200
    assert server.get("http://test/score?a=1").json() == '{"a": 1}'


def test_options_of_the_server_itself(server: LiveServer) -> None:
    with server.connect() as connection:
        assert connection.request("OPTIONS", "*").status in (200, 204, 404)
        assert connection.request("GET", "/livez").status == 200


def test_an_upgrade_is_not_taken_up(server: LiveServer) -> None:
    """Neither WebSocket nor HTTP/2 in the clear; the request counts as it is."""
    for protocol in ("websocket", "h2c"):
        with server.connect() as connection:
            headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", protocol)]
            assert connection.request("GET", "/livez", headers=headers).status == 200
            assert connection.request("POST", "/score", body=b"x").json() == "x"


OFFER = [
    ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMA"),
]  # fmt: skip
"""What Java's and curl's HTTP clients send with the first request of a connection."""

AS_CHUNKS = [*OFFER, ("Transfer-Encoding", "chunked")]
INSIDE = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        (request_bytes("POST", "/score", headers=OFFER, body=b"1, 2"), "1, 2"),
        (request_bytes("POST", "/score", headers=OFFER, body=INSIDE.encode()), INSIDE),
        (request_bytes("POST", "/score", headers=OFFER, body=b"x" * 3_000_000), "x" * 3_000_000),
        (request_bytes("POST", "/score", headers=AS_CHUNKS) + chunked(b"1", b", 2"), "1, 2"),
        (request_bytes("POST", "/score", headers=AS_CHUNKS) + chunked(INSIDE.encode()), INSIDE),
        (
            request_bytes("POST", "/score", headers=AS_CHUNKS) + chunked(b"y" * 100_000),
            "y" * 100_000,
        ),
    ],
    ids=["counted", "counted-request", "large", "chunked", "chunked-request", "large-chunk"],
)
@pytest.mark.parametrize("piece", [10_000_000, 7])
def test_a_body_that_follows_an_offer_to_upgrade(
    server: LiveServer, sent: bytes, arrives: str, piece: int
) -> None:
    """It is the request's, in whatever pieces it comes, and never taken for another request."""
    head = 300  # bytes; the rest of a large body needs no cutting
    pieces = [sent[at : at + piece] for at in range(0, min(head, len(sent)), piece)]
    rest = sent[len(b"".join(pieces)) :]
    with server.connect() as connection:
        for _ in range(2):  # the parser is in order afterwards
            for each in (*pieces, rest, _score("next")):
                connection.send(each)
            assert connection.read_response().json() == arrives
            assert connection.read_response().json() == "next"


@pytest.mark.parametrize("coding", ["gzip, chunked", "deflate,chunked"])
def test_a_transfer_coding_that_nobody_here_reads(server: LiveServer, coding: str) -> None:
    """Its content would be taken for the body (RFC 9112, 6.1)."""
    with server.connect() as connection:
        head = request_bytes("POST", "/score", headers=[("Transfer-Encoding", coding)])
        connection.send(head + chunked(b"x"))
        response = connection.read_response()

        assert response.status == 501
        assert (
            response.message == f"The Transfer-Encoding is {coding!r}; only chunked is supported."
        )
        assert connection.at_end()


@pytest.mark.parametrize("coding", ["Chunked", " chunked "])
def test_chunked_in_any_spelling(server: LiveServer, coding: str) -> None:
    with server.connect() as connection:
        head = request_bytes("POST", "/score", headers=[("Transfer-Encoding", coding)])
        connection.send(head + chunked(b"x"))

        assert connection.read_response().json() == "x"


def test_an_http_2_preface_is_refused(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

        assert b"200 OK" not in connection.read_to_end()


@pytest.mark.parametrize("name", ["json", "text"])
def test_answers_are_the_same_by_every_framing(server: LiveServer, name: str) -> None:
    body = json.dumps({name: [1, 2]}).encode()
    plain = server.post(body=body)

    with server.connect() as connection:
        connection.send(CHUNKED + chunked(body))
        by_chunks = connection.read_response()

    assert plain.body == by_chunks.body
    assert plain.content_type == by_chunks.content_type


# -- long pieces ------------------------------------------------------------------------------

SMALL_CHUNKED = (
    b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n"
)
LARGE_CHUNKED = (
    b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3000\r\n[\"" + b"x" * (0x3000 - 4) + b"\"]\r\n0\r\n\r\n"
)  # fmt: skip
OFFERS = {
    "GET with h2c": b"GET /livez HTTP/1.1\r\nHost: a\r\n"
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST with h2c": b"POST /score HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    b"Content-Length: 3\r\n\r\n[2]",
    "nothing": b"",
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("cut", [0, 100, 500, 9000])
def test_nothing_of_a_long_piece_is_lost_behind_an_offer(own_server, offer: bytes, cut: int):
    """What follows a body in chunks, an offer to upgrade, and another body, all in one piece."""
    server = own_server("echo.py")
    client = server.connect()
    piece = SMALL_CHUNKED + offer + LARGE_CHUNKED + SMALL_CHUNKED
    for part in (piece[:cut], piece[cut:]):
        if part:
            client.send(part)

    assert client.read_response().json() == [1]
    if offer:
        assert client.read_response().status in (200, 404)
    assert client.read_response().json() == ["x" * (0x3000 - 4)]
    assert client.read_response().json() == [1]
    client.send(SMALL_CHUNKED)
    assert client.read_response().json() == [1]


def test_bytes_of_a_body_are_no_request_line(own_server):
    """However they look, and however much comes in one piece with them."""
    server = own_server("echo.py")
    client = server.connect()
    text = b'"\\r\\nPOST /score RTSP/1.0\\r\\n"'.replace(b"\\r\\n", b" \\\\r\\\\n")
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
    start = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.send((start + body) * 3 + b"POST /score RTSP/1.0\r\nHost: a\r\n\r\n")

    assert [client.read_response().status for _ in range(4)] == [200, 200, 200, 400]


def test_a_refusal_comes_after_the_answers_before_it(own_server):
    server = own_server("echo.py")
    client = server.connect()
    many = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    many += b"1\r\n1\r\n" * 3000 + b"0\r\n\r\n"
    post = SMALL_CHUNKED
    client.send(post + post + many + post + b"BAD\r\n\r\n")

    assert [client.read_response().status for _ in range(5)] == [200, 200, 200, 200, 400]
    assert client.at_end()
