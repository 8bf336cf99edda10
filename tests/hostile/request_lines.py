"""Request lines: methods, targets and versions (RFC 9112, 3; RFC 9110, 4.2 and 9)."""

from __future__ import annotations

from hostile.cases import HEADER_LIMIT, SMUGGLED, Answered, Case, Read, Refused, case

END = b"\r\nHost: t\r\n\r\n"


def line(text: bytes) -> bytes:
    """Make a request with this request line and no header but Host."""
    return text + END


def _read(name: str, target: bytes, *, host: str | None = None) -> Case:
    """Make a case whose target reaches the script as it was sent."""
    outcome = Read(method="GET", target=target.decode("latin-1"), host=host)
    return case(name, line(b"GET %b HTTP/1.1" % target), outcome)


def _refused(name: str, target: bytes, status: int = 400) -> Case:
    """Make a case with a target that nobody should make sense of."""
    return case(name, line(b"GET %b HTTP/1.1" % target), Refused(status))


def _elsewhere(name: str, target: bytes, status: int = 404) -> Case:
    """Make a case with a target that can be understood, and does not lead to the script."""
    return case(name, line(b"GET %b HTTP/1.1" % target), Answered(status))


# llhttp cannot go on after a method that it does not know, so these get 400 and a close, where
# RFC 9110 (9.1) would rather have 501. Either is refused for good.
METHODS = (
    case("unknown method", line(b"FOO /score HTTP/1.1")),
    case("lower-case method", line(b"get /score HTTP/1.1")),
    case("mixed-case method", line(b"Post /score HTTP/1.1")),
    case("method with something behind it", line(b"GETX /score HTTP/1.1")),
    case("method cut short", line(b"GE /score HTTP/1.1")),
    case("one letter as method", line(b"X /score HTTP/1.1")),
    case("no method", line(b"/score HTTP/1.1")),
    case("empty method", line(b" /score HTTP/1.1")),
    case("tab before the method", line(b"\tGET /score HTTP/1.1")),
    case("space before the method", line(b" GET /score HTTP/1.1")),
    case("tab after the method", line(b"GET\t/score HTTP/1.1")),
    case("vertical tab after the method", line(b"GET\x0b/score HTTP/1.1")),
    case("form feed after the method", line(b"GET\x0c/score HTTP/1.1")),
    case("CR after the method", line(b"GET\r/score HTTP/1.1")),
    case("NUL in the method", line(b"G\0ET /score HTTP/1.1")),
    case("NUL before the method", line(b"\0GET /score HTTP/1.1")),
    case("high byte in the method", line(b"G\xc9T /score HTTP/1.1")),
    case("byte order mark before the method", line(b"\xef\xbb\xbfGET /score HTTP/1.1")),
    case("quoted method", line(b'"GET" /score HTTP/1.1')),
    case("colon after the method", line(b"GET: /score HTTP/1.1")),
    case("bracketed method", line(b"[GET] /score HTTP/1.1")),
    case("very long method", line(b"A" * (2 * HEADER_LIMIT) + b" /score HTTP/1.1")),
    case("method alone", line(b"GET")),
    case("a line break in the method", line(b"G\r\nET /score HTTP/1.1")),
)

# A server may split the line at any whitespace (RFC 9112, 3), and warns of what comes of it; this
# one does so for spaces alone.
SPACES = (
    case("two spaces after the method", line(b"GET  /score HTTP/1.1"), Read(method="GET")),
    case("two spaces before the version", line(b"GET /score  HTTP/1.1"), Read(method="GET")),
    case("many spaces", line(b"GET   /score   HTTP/1.1"), Read(method="GET")),
)

TARGETS = (
    _read("origin form with a query", b"/score?a=b&c=%20"),
    _read("empty query", b"/score?"),
    _read("question marks in a query", b"/score?a?b??"),
    _read("slashes and dots in a query", b"/score?/../x//y"),
    _read("encoded letter in the path", b"/%73core"),
    _read("two slashes before the path", b"//score"),
    _read("bad percent sign in a query", b"/score?a=%zz"),
    _read("encoded line break in a query", b"/score?a=%0d%0aX:%20y"),
    _read("encoded NUL in a query", b"/score?a=%00"),
    # Not in the grammar, but sent by many clients; nobody mistakes where the target ends.
    _read("characters that should be encoded", b'/score?<>"{}|^`\\'),
    _read("fragment behind a query", b"/score?a#b"),
    _elsewhere("fragment behind the path", b"/score#b"),
    _elsewhere("encoded NUL in the path", b"/score%00"),
    _elsewhere("encoded slash", b"/%2fscore/"),
    _elsewhere("dot segment", b"/./score"),
    _elsewhere("two dots", b"/x/../score"),
    _elsewhere("two encoded dots", b"/x/%2e%2e/score"),
    _elsewhere("slash at the end", b"/score/"),
    _elsewhere("upper-case path", b"/SCORE"),
    _elsewhere("path parameter", b"/score;a=b"),
    _elsewhere("two slashes that look like an authority", b"//evil.test/score"),
    _refused("no slash", b"score"),
    _refused("backslash", b"\\score"),
    _refused("query alone", b"?a=b"),
    _refused("fragment alone", b"#a"),
    _refused("dot", b"."),
    _refused("dots before a slash", b"../score"),
    _refused("NUL in the path", b"/sc\0ore"),
    _refused("NUL behind the path", b"/score\0"),
    _refused("tab in the path", b"/sc\tore"),
    _refused("space in the path", b"/sc ore"),
    _refused("space in the query", b"/score?a b"),
    _refused("vertical tab in the query", b"/score?a=\x0b"),
    _refused("form feed in the query", b"/score?a=\x0c"),
    _refused("DEL in the query", b"/score?a=\x7f"),
    _refused("escape in the query", b"/score?a=\x1b[0m"),
    _refused("control character in the query", b"/score?\x01"),
    _refused("UTF-8 in the query", "/score?ä".encode()),
    _refused("latin-1 in the query", b"/score?\xe4"),
    _refused("UTF-8 in the path", "/scöre".encode()),
    _refused("overlong UTF-8 for a slash", b"/\xc0\xaf"),
    _refused("CR in the target", b"/sc\rore"),
    _refused("LF in the target", b"/sc\nore"),
    _refused("line break in the target", b"/sc\r\nore"),
    _refused("smuggled lines in the target", b"/score HTTP/1.1\r\n" + SMUGGLED + b"GET /"),
    _refused("very long target", b"/score?" + b"a" * HEADER_LIMIT, 431),
    _refused("endless target", b"/" + b"a" * (4 * HEADER_LIMIT), 431),
    _read("long target", b"/score?" + b"a" * (HEADER_LIMIT // 2)),
    case("empty target", b"GET  HTTP/1.1" + END),
)

# Every server must understand absolute form, and take its authority for the host's (3.2.2).
ABSOLUTE = (
    _read("absolute form", b"http://other.test/score?a", host="other.test"),
    _read("absolute form with a port", b"http://other.test:81/score", host="other.test:81"),
    _read("absolute form with an empty port", b"http://other.test:/score", host="other.test:"),
    _read("absolute form with an IPv6 address", b"http://[::1]:81/score", host="[::1]:81"),
    _read("absolute form in upper case", b"HTTP://OTHER.TEST/score", host="OTHER.TEST"),
    # The server cannot know whether TLS has ended before it.
    _read("absolute form with https", b"https://other.test/score", host="other.test"),
    # Userinfo should be taken for an error (RFC 9110, 4.2.4); it is only passed over.
    _read("absolute form with a user", b"http://a:b@other.test/score", host="other.test"),
    _elsewhere("absolute form with dots", b"http://other.test/score/../x"),
    _elsewhere("absolute form without a path", b"http://other.test", 200),
    _elsewhere("absolute form with a query but no path", b"http://other.test?a", 200),
    _elsewhere("absolute form that leads nowhere", b"http://other.test/nowhere"),
    # "A recipient that processes such a URI reference MUST reject it" (RFC 9110, 4.2.1).
    _refused("absolute form without an authority", b"http:///score"),
    _refused("absolute form with a port but no host", b"http://:80/score"),
    _refused("absolute form of nothing", b"http://"),
    # What is no valid Host is no valid authority either (RFC 9112, 3.2).
    _refused("absolute form with two ports", b"http://t:80:81/score"),
    _refused("absolute form with a word as port", b"http://t:http/score"),
    _refused("absolute form with an open bracket", b"http://[::1/score"),
    _refused("absolute form with a space in the host", b"http://t /score"),
    _refused("absolute form with one slash", b"http:/score"),
    _refused("absolute form with a scheme of digits", b"1http://t/score"),
    _refused("a scheme alone", b"http:"),
    _refused("a URI without an authority", b"mailto:a@b.test"),
    case(
        "absolute form without a Host",
        b"GET http://other.test/score HTTP/1.1\r\n\r\n",  # it would be enough; it is not allowed
    ),
)

# Only CONNECT takes authority form, and only OPTIONS an asterisk (3.2.3, 3.2.4). Where no tunnel
# is made, the connection goes on in HTTP/1.1 (RFC 9110, 9.3.6).
OTHER_FORMS = (
    _refused("authority form", b"t:80"),
    _refused("authority form without a port", b"t"),
    _elsewhere("asterisk with GET", b"*"),
    _elsewhere("two asterisks", b"**"),  # 400 would say more, and would mean the same
    case("asterisk with OPTIONS", line(b"OPTIONS * HTTP/1.1"), Answered(404, "OPTIONS")),
    case("CONNECT", line(b"CONNECT t:443 HTTP/1.1"), Answered(404, "CONNECT")),
    case(
        "CONNECT with a request in its body",
        b"CONNECT t:443 HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b"
        % (len(SMUGGLED), SMUGGLED),
        Answered(404, "CONNECT"),
    ),
    case(
        "CONNECT with a request in its chunked body",
        b"CONNECT t:443 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        Answered(404, "CONNECT"),
    ),
    # "A server MUST reject" these (RFC 9110, 9.3.6); it does not say with what.
    case("CONNECT without a port", line(b"CONNECT t HTTP/1.1"), Answered(404, "CONNECT")),
    case("CONNECT with an empty port", line(b"CONNECT t: HTTP/1.1"), Answered(404, "CONNECT")),
    case("CONNECT with a word as port", line(b"CONNECT t:x HTTP/1.1"), Answered(404, "CONNECT")),
    case(
        "CONNECT with a port beyond all",
        line(b"CONNECT t:99999 HTTP/1.1"),
        Answered(404, "CONNECT"),
    ),
    case("CONNECT without a host", line(b"CONNECT :443 HTTP/1.1"), Answered(404, "CONNECT")),
    case("CONNECT with a path behind its port", line(b"CONNECT t:1/score HTTP/1.1")),
    case("CONNECT with an asterisk", line(b"CONNECT * HTTP/1.1"), Answered(404, "CONNECT")),
    case("CONNECT of a page", line(b"CONNECT /livez HTTP/1.1")),
    # A success would turn the connection into a tunnel for whoever stands in between.
    case("CONNECT in origin form", line(b"CONNECT /score HTTP/1.1")),
    case("CONNECT in origin form with two slashes", line(b"CONNECT //score HTTP/1.1")),
    case("CONNECT in absolute form", line(b"CONNECT http://t/score HTTP/1.1")),
    case("CONNECT with an empty target", line(b"CONNECT  HTTP/1.1")),
)

VERSIONS = (
    case("HTTP/0.9", line(b"GET /score HTTP/0.9")),
    case("HTTP/0.9 without a version", b"GET /score\r\n"),
    case("no version", line(b"GET /score")),
    case("no version but a space", line(b"GET /score ")),
    # A higher minor version could be read as 1.1 (RFC 9110, 2.5); none exists, nor ever will.
    case("HTTP/1.2", line(b"GET /score HTTP/1.2")),
    case("HTTP/1.9", line(b"GET /score HTTP/1.9")),
    case("HTTP/2.0", line(b"GET /score HTTP/2.0")),
    case("HTTP/2", line(b"GET /score HTTP/2")),
    case("HTTP/3.0", line(b"GET /score HTTP/3.0")),
    case("HTTP/9.9", line(b"GET /score HTTP/9.9")),
    case("HTTP/11", line(b"GET /score HTTP/11")),
    case("HTTP/1", line(b"GET /score HTTP/1")),
    case("HTTP/1.", line(b"GET /score HTTP/1.")),
    case("HTTP/.1", line(b"GET /score HTTP/.1")),
    case("HTTP/1.10", line(b"GET /score HTTP/1.10")),
    case("HTTP/01.1", line(b"GET /score HTTP/01.1")),
    case("HTTP/1.01", line(b"GET /score HTTP/1.01")),
    case("HTTP/10.1", line(b"GET /score HTTP/10.1")),
    case("HTTP/+1.1", line(b"GET /score HTTP/+1.1")),
    case("HTTP/-1.1", line(b"GET /score HTTP/-1.1")),
    case("HTTP/1,1", line(b"GET /score HTTP/1,1")),
    case("HTTP/1 1", line(b"GET /score HTTP/1 1")),
    case("HTTP /1.1", line(b"GET /score HTTP /1.1")),
    case("HTTP/ 1.1", line(b"GET /score HTTP/ 1.1")),
    case("HTTP1.1", line(b"GET /score HTTP1.1")),
    case("HTTP/1.1 and a letter", line(b"GET /score HTTP/1.1x")),
    case("HTTP/1.1 and a space", line(b"GET /score HTTP/1.1 ")),
    case("HTTP/1.1 and a tab", line(b"GET /score HTTP/1.1\t")),
    case("HTTP/1.1 and a NUL", line(b"GET /score HTTP/1.1\0")),
    case("HTTP/1.1 twice", line(b"GET /score HTTP/1.1 HTTP/1.1")),
    case("HTTP/x.y", line(b"GET /score HTTP/x.y")),
    case("fullwidth digits as version", line("GET /score HTTP/１.１".encode())),
    case("lower-case version", line(b"GET /score http/1.1")),
    case("mixed-case version", line(b"GET /score Http/1.1")),
    case("HTTPS/1.1", line(b"GET /score HTTPS/1.1")),
    case("XHTTP/1.1", line(b"GET /score XHTTP/1.1")),
    case("tab before the version", line(b"GET /score\tHTTP/1.1")),
    case("line break before the version", line(b"GET /score\r\nHTTP/1.1")),
    case("bare LF after the version", b"GET /score HTTP/1.1\nHost: t\r\n\r\n"),
    case("bare CR after the version", b"GET /score HTTP/1.1\rHost: t\r\n\r\n"),
    case("two CRs after the version", b"GET /score HTTP/1.1\r\r\nHost: t\r\n\r\n"),
)

CASES = (*METHODS, *SPACES, *TARGETS, *ABSOLUTE, *OTHER_FORMS, *VERSIONS)
