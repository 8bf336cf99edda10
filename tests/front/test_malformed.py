"""Requests that two readers could understand in two ways, and bytes that are no request.

Each is refused with 400 and the connection is closed, so that whatever follows on it is not
taken for a request of somebody else.
"""

from __future__ import annotations

import re

import pytest

from support.server import LiveServer, StartServer

NEXT = b"GET /score?smuggled=1 HTTP/1.1\r\nHost: t\r\n\r\n"
POST = b"POST /score HTTP/1.1\r\nHost: t\r\n"

SHAPES = {
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, other order": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "two equal lengths": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "two lengths in one": POST + b"Content-Length: 1, 2\r\n\r\nxx",
    "a signed length": POST + b"Content-Length: +1\r\n\r\nx",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length in hexadecimal": POST + b"Content-Length: 0x1\r\n\r\nx",
    "a length with a space inside": POST + b"Content-Length: 1 1\r\n\r\nxxxxxxxxxxx",
    "an empty length": POST + b"Content-Length: \r\n\r\n",
    "a length in words": POST + b"Content-Length: one\r\n\r\nx",
    "chunked before another coding": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked on two lines": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "another coding alone": POST + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "almost chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a vertical tab before chunked": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 1\r\n\r\nx",
    "a space before chunked's colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": POST + b"X-Folded: a\r\n b\r\nContent-Length: 1\r\n\r\nx",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a header without colon": POST + b"No-Colon\r\nContent-Length: 1\r\n\r\nx",
    "a header without name": POST + b": value\r\nContent-Length: 1\r\n\r\nx",
    "a space in a name": POST + b"X Name: a\r\nContent-Length: 1\r\n\r\nx",
    "a NUL in a value": POST + b"X-Nul: a\0b\r\nContent-Length: 1\r\n\r\nx",
    "a NUL in a name": POST + b"X-\0: a\r\nContent-Length: 1\r\n\r\nx",
    "a NUL in the target": b"GET /score?a=\0 HTTP/1.1\r\nHost: t\r\n\r\n",
    "a carriage return in a value": POST + b"X-Cr: a\rb\r\nContent-Length: 1\r\n\r\nx",
    "bare line feeds": b"POST /score HTTP/1.1\nHost: t\nContent-Length: 1\n\nx",
    "a bare line feed after one header": POST + b"X-A: a\nContent-Length: 1\r\n\r\nx",
    "a bare carriage return as line end": POST + b"X-A: a\rContent-Length: 1\r\n\r\nx",
    "no host": b"POST /score HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    "two hosts": POST + b"Host: u\r\nContent-Length: 1\r\n\r\nx",
    "a version that does not exist": b"GET /score HTTP/9.9\r\nHost: t\r\n\r\n",
    "no version": b"GET /score\r\nHost: t\r\n\r\n",
    "a space in the target": b"GET /score a HTTP/1.1\r\nHost: t\r\n\r\n",
    "a target that is no path": b"GET score HTTP/1.1\r\nHost: t\r\n\r\n",
    "no request at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "only words": b"hello, is anybody there?\r\n\r\n",
}

CHUNKS = {
    "no number": b"x\r\na\r\n0\r\n\r\n",
    "an empty size": b"\r\na\r\n0\r\n\r\n",
    "a negative size": b"-1\r\na\r\n0\r\n\r\n",
    "a signed size": b"+1\r\na\r\n0\r\n\r\n",
    "a size with 0x": b"0x1\r\na\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "a size beyond all numbers": b"fffffffffffffffff\r\na\r\n0\r\n\r\n",
    "a space before the size": b" 1\r\na\r\n0\r\n\r\n",
    "a chunk longer than its size": b"1\r\nab\r\n0\r\n\r\n",
    "a bare line feed after the size": b"1\na\r\n0\r\n\r\n",
    "a bare line feed after the chunk": b"1\r\na\n0\r\n\r\n",
    "a bare line feed in an extension": b"1;a=\nb\r\na\r\n0\r\n\r\n",
}

UUID = re.compile(r"[0-9a-f-]{36}")


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("raw_text.py")


def _is_refused(server: LiveServer, data: bytes) -> None:
    """One answer, a 400, and then the end; the request behind it is not answered."""
    with server.connect() as connection:
        connection.send(data + NEXT)
        response = connection.read_response()
        assert response.status == 400, response
        assert response.message
        assert "close" in response.listed("Connection")
        assert UUID.fullmatch(response.header("x-request-id") or "")
        assert connection.at_end()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (SHAPES["no request at all"], "This looks like TLS, but this port speaks plain HTTP."),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 is not supported; use HTTP/1.1."),
        (SHAPES["two lengths"], "HTTP/1.1 does not allow this request: "),
    ],
    ids=["TLS", "HTTP/2", "two lengths"],
)
def test_the_answer_says_what_is_wrong(server: LiveServer, sent: bytes, said: str) -> None:
    with server.connect() as connection:
        connection.send(sent)
        assert connection.read_response().message.startswith(said)


@pytest.mark.parametrize("shape", CHUNKS)
def test_a_bad_chunk_is_refused_and_its_connection_closed(server: LiveServer, shape: str) -> None:
    _is_refused(server, POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS[shape])


def test_a_refused_request_is_not_scored(own_server: StartServer) -> None:
    """Not even when its body was complete before the fault showed."""
    server = own_server("gated.py")
    with server.connect() as connection:
        connection.send(POST + b'Transfer-Encoding: chunked\r\n\r\n8\r\n"forged"\r\nzz\r\n\r\n')
        assert connection.read_response().status == 400

    assert server.score() != {}
    assert not (server.folder / "forged.begun").exists()


def test_answers_due_before_the_fault_are_given(server: LiveServer) -> None:
    """What was asked properly is answered; then comes the refusal, or just the end."""
    good = POST + b"Content-Length: 1\r\n\r\nx"

    with server.connect() as connection:
        connection.send(good + good + SHAPES["both lengths"] + NEXT)

        assert connection.read_response().json() == "x"
        assert connection.read_response().json() == "x"
        refusal = connection.read_response_or_end()
        assert refusal is None or refusal.status == 400
        assert connection.at_end()


def test_chunked_with_the_older_version_ends_the_connection(server: LiveServer) -> None:
    """The body may be read as it is framed; nothing after it may be (RFC 9112, 6.1)."""
    head = b"POST /score HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n"

    with server.connect() as connection:
        connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + NEXT)

        assert connection.read_response().status in (200, 400)
        assert connection.at_end()


@pytest.mark.parametrize("blank", [b"\r\n", b"\r\n\r\n"])
def test_blank_lines_before_a_request_are_passed_over(server: LiveServer, blank: bytes) -> None:
    with server.connect() as connection:
        connection.send(blank + b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n")

        assert connection.read_response().status == 200


def test_a_body_that_ends_early_is_not_scored(own_server: StartServer) -> None:
    server = own_server("gated.py")
    with server.connect() as connection:
        connection.send(POST + b'Content-Length: 100\r\n\r\n"short"')
        connection.half_close()

        answer = connection.read_response_or_end()
        assert answer is None or answer.status in (400, 408)

    assert server.score() != {}
    assert not (server.folder / "short.begun").exists()


def test_bytes_after_the_end_of_a_tls_hello_do_no_harm(server: LiveServer) -> None:
    """A client that speaks TLS to the plain port gets an end, not a wait."""
    with server.connect() as connection:
        connection.send(SHAPES["no request at all"])
        connection.read_to_end()

    assert server.get("/livez").status == 200
