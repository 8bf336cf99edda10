"""Expect, Connection, Upgrade, HTTP/1.0, and what stands between two requests (RFC 9112, 9)."""

from __future__ import annotations

from hostile.cases import (
    BODY_LIMIT,
    CHUNKED,
    POST,
    SMUGGLED,
    Answered,
    Case,
    Ended,
    Outcome,
    Read,
    Refused,
    case,
    good,
)

BODY = b"Content-Length: 5\r\n\r\nhello"
OLD = b"POST /score HTTP/1.0\r\nHost: t\r\n"


def _with(name: str, headers: bytes, *, closes: bool = False) -> Case:
    """Make a case of a good request with these headers."""
    return case(name, POST + headers + b"\r\n" + BODY, Read("hello", closes=closes))


def _old(name: str, headers: bytes, *outcomes: Outcome, body: bytes = BODY) -> Case:
    """Make a case of a request in HTTP/1.0, which closes unless told otherwise."""
    outcomes = outcomes or (Read("hello", closes=True),)
    return case(f"HTTP/1.0: {name}", OLD + headers + body, *outcomes)


def _expects(name: str, headers: bytes, body: bytes = BODY, *, asked_for: bool = True) -> Case:
    """Make a case of a client that waits to be asked for its body, or of one that does not."""
    outcome = Read("hello", asked_for=asked_for)
    return case(f"Expect: {name}", POST + headers + b"\r\n" + body, outcome)


AS_CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

# A server may refuse what it does not know with 417 (RFC 9110, 10.1.1); this one passes over it.
EXPECT = (
    _expects("100-continue", b"Expect: 100-continue"),
    _expects("100-continue in any case", b"eXPECT: 100-Continue"),
    _expects("100-continue with a space before it", b"Expect: \t 100-continue"),
    _expects("100-continue with a space behind it", b"Expect: 100-continue "),
    _expects("100-continue with a tab behind it", b"Expect: 100-continue\t"),
    _expects("100-continue with chunks", b"Expect: 100-continue", AS_CHUNKS),
    _expects("100-continue twice", b"Expect: 100-continue\r\nExpect: 100-continue"),
    _expects("100-continue twice in a line", b"Expect: 100-continue, 100-continue"),
    _expects("100-continue after another", b"Expect: miracles, 100-continue"),
    _expects("100-continue before another", b"Expect: 100-continue, miracles"),
    _expects(
        "100-continue after another on two lines", b"Expect: miracles\r\nExpect: 100-continue"
    ),
    _expects(
        "100-continue before another on two lines", b"Expect: 100-continue\r\nExpect: miracles"
    ),
    _expects("another", b"Expect: miracles", asked_for=False),
    _expects("another number", b"Expect: 200-ok", asked_for=False),
    _expects("empty", b"Expect:", asked_for=False),
    _expects("quotes", b'Expect: "100-continue"', asked_for=False),
    _expects("letter behind it", b"Expect: 100-continues", asked_for=False),
    _expects("space inside", b"Expect: 100 continue", asked_for=False),
    _expects("high bytes", b"Expect: \xff\xfe", asked_for=False),
    case("Expect: NUL", POST + b"Expect: 100-continue\0\r\n" + BODY),
    case(
        "Expect: a body that is too large",
        POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT + 1),
        Refused(413),
    ),
    case(
        "Expect: a body in a coding that nobody knows",
        POST + b"Expect: 100-continue\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        Refused(501),
    ),
    case(
        "Expect: a request as body",
        POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        Read(SMUGGLED.decode(), asked_for=True),
    ),
)

# "close" counts wherever it stands in the list, and whatever stands beside it (9.6).
CONNECTION = (
    _with("Connection: close", b"Connection: close", closes=True),
    _with("Connection: close in any case", b"cONNECTION: Close", closes=True),
    _with("Connection: close with spaces", b"Connection:  close  ", closes=True),
    _with("Connection: close with tabs", b"Connection:\tclose\t", closes=True),
    _with("Connection: close twice", b"Connection: close\r\nConnection: close", closes=True),
    _with("Connection: close, close", b"Connection: close, close", closes=True),
    _with("Connection: close, keep-alive", b"Connection: close, keep-alive", closes=True),
    _with("Connection: keep-alive, close", b"Connection: keep-alive, close", closes=True),
    _with(
        "Connection: close before keep-alive",
        b"Connection: close\r\nConnection: keep-alive",
        closes=True,
    ),
    _with(
        "Connection: close after keep-alive",
        b"Connection: keep-alive\r\nConnection: close",
        closes=True,
    ),
    _with("Connection: close and a comma", b"Connection: close,", closes=True),
    _with("Connection: close after a comma", b"Connection: ,close", closes=True),
    _with("Connection: close among others", b"Connection: a,b ,\tclose\t, c", closes=True),
    _with("Connection: Upgrade, close", b"Connection: Upgrade, close\r\nUpgrade: h2c", closes=True),
    _with("Connection: close, Upgrade", b"Connection: close, Upgrade\r\nUpgrade: h2c", closes=True),
    _with("Connection: keep-alive", b"Connection: keep-alive"),
    _with("Connection: empty", b"Connection:"),
    _with("Connection: nothing but commas", b"Connection: , ,,"),
    _with("Connection: closed", b"Connection: closed"),
    _with("Connection: x-close", b"Connection: x-close"),
    _with("Connection: close in quotes", b'Connection: "close"'),
    _with("Connection: close and a word", b"Connection: close now"),
    _with("Connection: close behind a word", b"Connection: a close"),
    _with("Connection: close with a weight", b"Connection: close;q=0"),
    _with("Connection: close with an accent", "Connection: closé".encode()),
    _with("Connection: another header's name", b"X-A: a\r\nConnection: X-A"),
    # Whoever passes a request on must take these out, and would change what it means.
    _with("Connection: Host", b"Connection: Host"),
    _with("Connection: Content-Length", b"Connection: Content-Length"),
    _with("Connection: Transfer-Encoding", b"Connection: Transfer-Encoding"),
    _with("Connection: long list", b"Connection: " + b"a, " * 1000 + b"b"),
    _with(
        "Connection: close at the end of a long list",
        b"Connection: " + b"a, " * 1000 + b"close",
        closes=True,
    ),
    # llhttp takes it for Connection. A server may close whenever it likes, if it says so (9.6).
    _with("Proxy-Connection: close", b"Proxy-Connection: close", closes=True),
    _with("Keep-Alive", b"Keep-Alive: timeout=0, max=0"),
    case("Connection: NUL", POST + b"Connection: close\0\r\n" + BODY),
    case("Connection: vertical tab", POST + b"Connection: \x0bclose\r\n" + BODY),
    case(
        "Connection: close, and two requests behind it",
        POST + b"Connection: close\r\n" + BODY + SMUGGLED + SMUGGLED,
        Read("hello", closes=True),
    ),
    case(
        "Connection: close with chunks, and a request behind it",
        POST + b"Connection: close\r\n" + AS_CHUNKS + SMUGGLED,
        Read("hello", closes=True),
    ),
    case(
        "Connection: close, and bytes behind it",
        POST + b"Connection: close\r\n" + BODY + b"\0\xff\r\n",
        Read("hello", closes=True),
    ),
    case(
        "Connection: close of a page, and a request behind it",
        b"GET /livez HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" + SMUGGLED,
        Answered(200, closes=True),
    ),
    case(
        "Connection: close of nothing, and a request behind it",
        b"GET /nowhere HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" + SMUGGLED,
        Answered(404, closes=True),
    ),
)

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)

# No offer is taken up; each counts as if it were not there (RFC 9110, 7.8).
UPGRADE = (
    _with("Upgrade: h2c", H2C.removesuffix(b"\r\n")),
    _with("Upgrade: websocket", WEBSOCKET.removesuffix(b"\r\n")),
    _with("Upgrade: TLS", b"Connection: Upgrade\r\nUpgrade: TLS/1.2"),
    _with("Upgrade: HTTP/1.1", b"Connection: Upgrade\r\nUpgrade: HTTP/1.1"),
    _with("Upgrade: list", b"Connection: Upgrade\r\nUpgrade: a/1, b, websocket"),
    _with("Upgrade: without Connection", b"Upgrade: h2c"),
    _with("Upgrade: Connection without it", b"Connection: Upgrade"),
    _with("Upgrade: empty", b"Connection: Upgrade\r\nUpgrade:"),
    _with("Upgrade: twice", b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket"),
    case("Upgrade: h2c with chunks", POST + H2C + AS_CHUNKS, Read("hello")),
    case(
        "Upgrade: h2c without a body",
        b"GET /score HTTP/1.1\r\nHost: t\r\n" + H2C + b"\r\n",
        Read(method="GET"),
    ),
    case(
        "Upgrade: h2c, and a request as body",
        POST + H2C + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        Read(SMUGGLED.decode()),
    ),
    case(
        "Upgrade: h2c, and a request as chunk",
        POST
        + H2C
        + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        Read(SMUGGLED.decode()),
    ),
    case("Upgrade: h2c, and a bad chunk", POST + H2C + b"Transfer-Encoding: chunked\r\n\r\nx\r\n"),
    case("Upgrade: h2c, and a bad length", POST + H2C + b"Content-Length: +5\r\n\r\nhello"),
    case(
        "Upgrade: h2c, and a trailer",
        POST + H2C + AS_CHUNKS[:-2] + b"X-A: a\r\n\r\n",
        Read("hello"),
    ),
    case(
        "Upgrade: h2c, and both framings",
        POST + H2C + b"Content-Length: 15\r\n" + AS_CHUNKS,
    ),
    case(
        "Upgrade: h2c, and an empty coding",
        POST + H2C + b"Transfer-Encoding:\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "Upgrade: h2c, an empty coding and a length",
        POST + H2C + b"Transfer-Encoding:\r\nContent-Length: 15\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    case(
        "Upgrade: h2c, and gzip before chunked",
        POST + H2C + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Refused(501),
    ),
    case(
        "Upgrade: h2c, and the preface of HTTP/2",
        b"GET /score HTTP/1.1\r\nHost: t\r\n" + H2C + b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Read(method="GET"),
        Refused(),
    ),
    case("Upgrade: h2c in HTTP/1.0", OLD + H2C + BODY, Read("hello", closes=True)),
    case(
        "Upgrade: h2c in HTTP/1.0, kept",
        OLD + b"Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n" + BODY,
        Read("hello"),
    ),
    case(
        "Upgrade: h2c with CONNECT",
        b"CONNECT t:443 HTTP/1.1\r\nHost: t\r\n" + H2C + b"\r\n",
        Answered(404, "CONNECT"),
    ),
)

KEPT = b"Connection: keep-alive\r\n"

HTTP_1_0 = (
    _old("plain", b""),
    _old("Connection: close", b"Connection: close\r\n"),
    _old("Connection: keep-alive", KEPT, Read("hello")),
    _old("Connection: Keep-Alive", b"Connection: Keep-Alive\r\n", Read("hello")),
    _old("Connection: keep-alive, close", b"Connection: keep-alive, close\r\n"),
    _old("Connection: close, keep-alive", b"Connection: close, keep-alive\r\n"),
    _old("Connection: keep-alive and another", b"Connection: a, keep-alive\r\n", Read("hello")),
    _old("Keep-Alive", b"Keep-Alive: timeout=5\r\n"),
    _old("Proxy-Connection: keep-alive", b"Proxy-Connection: keep-alive\r\n"),
    _old("no length", b"", Read(closes=True), body=b"\r\nhello"),
    _old("no length but kept", KEPT, Read(), body=b"\r\n"),
    _old("a request behind it", b"", body=BODY + SMUGGLED),
    _old("Expect is not for it", b"Expect: 100-continue\r\n"),
    _old("Expect is not for it, kept", b"Expect: 100-continue\r\n" + KEPT, Read("hello")),
    # Nobody could know how an older reader has framed it, so nothing behind it may be read (6.1).
    _old("chunked", b"", Refused(), body=AS_CHUNKS),
    _old("chunked and kept", KEPT, Refused(), body=AS_CHUNKS),
    _old("chunked and a length", b"Content-Length: 15\r\n", Refused(), body=AS_CHUNKS),
    _old("gzip", b"Transfer-Encoding: gzip\r\n", Refused()),
    _old("two Hosts", b"Host: u\r\n", Refused()),
    case("HTTP/1.0: bad Host", b"GET /score HTTP/1.0\r\nHost: t u\r\n\r\n"),
    _old("two lengths", b"Content-Length: 6\r\n", Refused()),
    case("HTTP/1.0: no Host", b"GET /score HTTP/1.0\r\n\r\n", Read(method="GET", closes=True)),
    case(
        "HTTP/1.0: absolute form without a Host",
        b"GET http://other.test/score HTTP/1.0\r\n\r\n",
        Read(method="GET", target="http://other.test/score", host="other.test", closes=True),
    ),
    case("HTTP/1.0: HEAD", b"HEAD /score HTTP/1.0\r\n\r\n", Read(method="HEAD", closes=True)),
)

# One empty line before a request should be passed over (2.2); more do no harm.
BETWEEN = (
    case("CRLF before a request", b"\r\n" + POST + BODY, Read("hello")),
    case("two CRLFs before a request", b"\r\n" * 2 + POST + BODY, Read("hello")),
    case("many CRLFs before a request", b"\r\n" * 100 + POST + BODY, Read("hello")),
    case(
        "CRLF between two requests",
        POST + BODY + b"\r\n" + POST + BODY,
        Read("hello"),
        Read("hello"),
    ),
    case(
        "CRLFs between two requests",
        POST + BODY + b"\r\n" * 20 + POST + BODY,
        Read("hello"),
        Read("hello"),
    ),
    case(
        "CRLF after chunks", POST + AS_CHUNKS + b"\r\n" + POST + BODY, Read("hello"), Read("hello")
    ),
    case("thousands of CRLFs before a request", b"\r\n" * 3000 + POST + BODY, Read("hello")),
    case("more CRLFs than headers may have bytes", b"\r\n" * 5000 + POST + BODY, Refused(431)),
    # LF alone may count as a line end (2.2), and there is nothing here that it could end.
    case("LF before a request", b"\n" + POST + BODY, Read("hello")),
    case(
        "LF between two requests", POST + BODY + b"\n" + POST + BODY, Read("hello"), Read("hello")
    ),
    # CR alone is "invalid" or a space (2.2), which is as invalid before a request.
    case("CR before a request", b"\r" + POST + BODY),
    case("CR between two requests", POST + BODY + b"\r" + POST + BODY, Read("hello"), Refused()),
    case("CR before a CRLF before a request", b"\r\r\n" + POST + BODY),
    case("vertical tab before a request", b"\x0b" + POST + BODY),
    case("CRLF and a space before a request", b"\r\n " + POST + BODY),
    case("space before a request", b" " + POST + BODY),
    case("tab before a request", b"\t" + POST + BODY),
    case("NUL before a request", b"\0" + POST + BODY),
    case("NUL between two requests", POST + BODY + b"\0" + POST + BODY, Read("hello"), Refused()),
    case("CRLFs alone", b"\r\n" * 3, Ended(), half_closed=True),
    case("nothing", b"", Ended(), half_closed=True),
    case("request line alone", b"GET /score HTTP/1.1\r\n", Ended(), half_closed=True),
    case("request line cut short", b"GET /sco", Ended(), half_closed=True),
    case("headers cut short", POST + b"X-A: a", Ended(), half_closed=True),
    case("headers without their last line", POST + b"X-A: a\r\n", Ended(), half_closed=True),
    case("headers without their last LF", POST + b"X-A: a\r\n\r", Ended(), half_closed=True),
    case(
        "three requests at once",
        good("one")
        + CHUNKED
        + b"3\r\ntwo\r\n0\r\n\r\n"
        + b"GET /score?three HTTP/1.1\r\nHost: t\r\n\r\n",
        Read("one", target="/score?one"),
        Read("two"),
        Read(method="GET", target="/score?three"),
    ),
    case(
        "a refused request behind two good ones",
        good("one") + good("two") + POST + b"Content-Length: +1\r\n\r\nx" + SMUGGLED,
        Read("one", target="/score?one"),
        Read("two", target="/score?two"),
        Refused(),
    ),
    case(
        "a page between two requests",
        good("one") + b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n" + good("two"),
        Read("one", target="/score?one"),
        Answered(200),
        Read("two", target="/score?two"),
    ),
)

CASES = (*EXPECT, *CONNECTION, *UPGRADE, *HTTP_1_0, *BETWEEN)
