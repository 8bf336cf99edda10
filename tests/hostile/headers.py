"""Header lines, and the Host that every HTTP/1.1 request needs (RFC 9112, 2.2, 3.2 and 5)."""

from __future__ import annotations

from hostile.cases import HEADER_LIMIT, HOST, POST, SMUGGLED, Case, Read, Refused, case

BODY = b"Content-Length: 1\r\n\r\nx"
LINE = b"POST /score HTTP/1.1\r\n"


def _refused(name: str, header: bytes, status: int = 400) -> Case:
    """Make a case whose request is good but for this header, which stands between two others."""
    return case(name, POST + header + b"\r\n" + BODY, Refused(status))


def _read(name: str, header: bytes, **headers: str | None) -> Case:
    """Make a case with a header that is as it should be; ``x_a`` stands for what X-A must hold."""
    seen = {key.replace("_", "-"): value for key, value in headers.items()}
    return case(name, POST + header + b"\r\n" + BODY, Read("x", headers=seen))


def _host(name: str, header: bytes, host: str) -> Case:
    """Make a case with a Host that is as it should be."""
    return case(name, LINE + header + b"\r\n" + BODY, Read("x", host=host))


def _bad_host(name: str, header: bytes) -> Case:
    """Make a case without a Host, or with one that is none."""
    return case(name, LINE + header + b"\r\n" + BODY)


NO_TOKEN = {
    "space": b" ", "tab": b"\t", "quote": b'"', "opening parenthesis": b"(",
    "closing parenthesis": b")", "comma": b",", "slash": b"/", "semicolon": b";",
    "less-than sign": b"<", "equals sign": b"=", "greater-than sign": b">", "question mark": b"?",
    "at sign": b"@", "opening bracket": b"[", "backslash": b"\\", "closing bracket": b"]",
    "opening brace": b"{", "closing brace": b"}", "NUL": b"\0", "vertical tab": b"\x0b",
    "form feed": b"\x0c", "escape": b"\x1b", "DEL": b"\x7f", "latin-1 letter": b"\xe4",
    "UTF-8 letter": "ä".encode(), "no-break space": b"\xa0", "CR": b"\r", "LF": b"\n",
}  # fmt: skip
"""What no name may have in it (RFC 9110, 5.6.2)."""

NAMES = (
    *(_refused(f"{what} in a name", b"X%bA: a" % each) for what, each in NO_TOKEN.items()),
    _refused("space before the colon", b"X-A : a"),
    _refused("tab before the colon", b"X-A\t: a"),
    _refused("NUL before the colon", b"X-A\0: a"),
    _refused("vertical tab before the colon", b"X-A\x0b: a"),
    _refused("no-break space before the colon", b"X-A\xa0: a"),
    _refused("line break before the colon", b"X-A\r\n: a"),
    _refused("empty name", b": a"),
    _refused("nothing but a colon", b":"),
    _refused("no colon", b"X-A"),
    _refused("no colon but a space", b"X-A a"),
    _refused("equals sign instead of a colon", b"X-A=a"),
    _refused("byte order mark before a name", b"\xef\xbb\xbfX-A: a"),
    _refused("request line among the headers", b"GET /score?smuggled HTTP/1.1"),
    _read("all characters of a token", b"!#$%&'*+-.^`|~09azAZ: a", **{"!#$%&'*+-.^`|~09azaz": "a"}),
    # Flask and others would take it for the header with hyphens.
    _read("underscore in a name", b"X_A: a", x_a=None),
    _read("underscore in Content_Length", b"Content_Length: 5", content_length="1"),
    _read("underscore in Transfer_Encoding", b"Transfer_Encoding: chunked", transfer_encoding=None),
)

VALUES = (
    _read("empty value", b"X-A:", x_a=""),
    _read("nothing but spaces as value", b"X-A: \t  ", x_a=""),
    _read("no space after the colon", b"X-A:a", x_a="a"),
    # "… MUST exclude such whitespace prior to evaluating the field value" (RFC 9110, 5.5).
    _read("spaces around a value", b"X-A:   a   ", x_a="a"),
    _read("tabs around a value", b"X-A:\ta\t", x_a="a"),
    _read("spaces and tabs around a value", b"X-A: \t a \t ", x_a="a"),
    _read("spaces and tabs inside a value", b"X-A: a \t b", x_a="a \t b"),
    _read("colons in a value", b"X-A: : a:b:", x_a=": a:b:"),
    _read("high bytes in a value", b"X-A: \xe4\xff", x_a="\xe4\xff"),
    _read("the same header twice", b"X-A: a\r\nX-A: b", x_a="a, b"),
    _read(
        "request line as value",
        b"X-A: GET /score?smuggled HTTP/1.1",
        x_a="GET /score?smuggled HTTP/1.1",
    ),
    _read("escaped line break in a value", b"X-A: a\\r\\nX-B: b", x_b=None),
    _refused("NUL in a value", b"X-A: a\0b"),
    _refused("NUL as value", b"X-A: \0"),
    _refused("CR in a value", b"X-A: a\rb"),
    _refused("CR at a value's beginning", b"X-A: \ra"),
    _refused("CR at a value's end", b"X-A: a\r"),
    _refused("CR that hides a header", b"X-A: a\rTransfer-Encoding: chunked"),
    _refused("LF in a value", b"X-A: a\nb"),
    _refused("LF that hides a header", b"X-A: a\nX-B: b"),
    _refused("LF that hides a request", b"X-A: a\n\n" + SMUGGLED),
    _refused("CR that hides a request", b"X-A: a\r\r" + SMUGGLED),
    # RFC 9110, 5.5 leaves it to the recipient to keep these; they are refused.
    _refused("control character in a value", b"X-A: a\x01b"),
    _refused("vertical tab in a value", b"X-A: a\x0bb"),
    _refused("form feed in a value", b"X-A: a\x0cb"),
    _refused("escape in a value", b"X-A: \x1b[31m"),
    _refused("DEL in a value", b"X-A: a\x7fb"),
    # A server may also replace a fold with a space (5.2); this one refuses it, so that nobody who
    # reads two headers in it is right.
    _refused("folded value", b"X-A: a\r\n b"),
    _refused("value folded with a tab", b"X-A: a\r\n\tb"),
    _refused("fold before the value", b"X-A:\r\n a"),
    _refused("fold that hides a header", b"X-A: a\r\n Transfer-Encoding: chunked"),
    _refused("fold of nothing but spaces", b"X-A: a\r\n   "),
    case("fold in the Host", LINE + b"Host: t\r\n .evil.test\r\n" + BODY),
)

LINES = (
    case("space before the first header", LINE + b" " + HOST + BODY),
    case("tab before the first header", LINE + b"\t" + HOST + BODY),
    case("spaces as first line", LINE + b"  \r\n" + HOST + BODY),
    case("space in the line that ends the headers", POST + b"X-A: a\r\n \r\n" + BODY),
    case("LF after a header", POST + b"X-A: a\n" + BODY),
    case("CR after a header", POST + b"X-A: a\r" + BODY),
    case("two CRs after a header", POST + b"X-A: a\r\r\n" + BODY),
    case("LF and CR after a header", POST + b"X-A: a\n\r" + BODY),
    case("two LFs after the headers", POST + b"Content-Length: 1\n\nx"),
    case("LF as the line that ends the headers", POST + b"Content-Length: 1\r\n\nx"),
    case("CR as the line that ends the headers", POST + b"Content-Length: 1\r\n\rx"),
    case("LF and CRLF after the headers", POST + b"Content-Length: 1\n\r\nx"),
    case("CR that would end the headers, and a header", POST + b"X-A: a\r\n\r" + BODY),
    case("LF everywhere", b"POST /score HTTP/1.1\nHost: t\nContent-Length: 1\n\nx"),
    case("CR everywhere", b"POST /score HTTP/1.1\rHost: t\rContent-Length: 1\r\rx"),
    case("headers that end too early", LINE + b"X-A: a\r\n\r\n" + HOST + BODY),
    case("headers that never end", POST + b"X-A: a\r\n"),
)

BOMBS = (
    _read("header of half the limit", b"X-A: " + b"a" * (HEADER_LIMIT // 2)),
    _read("a hundred headers", b"\r\n".join([b"X-A: a"] * 100)),
    _refused("very long value", b"X-A: " + b"a" * HEADER_LIMIT, 431),
    _refused("endless value", b"X-A: " + b"a" * (4 * HEADER_LIMIT), 431),
    _refused("very long name", b"X" * HEADER_LIMIT + b": a", 431),
    _refused("endless name", b"X" * (4 * HEADER_LIMIT) + b": a", 431),
    _refused("many headers", b"\r\n".join(b"X-%d: a" % number for number in range(2000)), 431),
    _refused("many empty headers", b"\r\n".join([b"X:"] * (HEADER_LIMIT + 1)), 431),
    # Names and values do not tell how long they are with their line ends and spaces.
    _refused("value behind many spaces", b"X-A:" + b" " * (4 * HEADER_LIMIT) + b"a", 431),
    _refused("many Hosts", b"\r\n".join([b"Host: t"] * 100)),
    case("endless line without a colon", POST + b"X" * (HEADER_LIMIT // 2) + b"\r\n" + BODY),
    _refused("id that is too long", b"x-request-id: " + b"a" * 200, 431),
    _read("id with high bytes", b"x-request-id: \xe4\xf6", x_request_id="\xe4\xf6"),
)

HOSTS = (
    _host("Host with a port", b"Host: t:80", "t:80"),
    _host("Host with an empty port", b"Host: t:", "t:"),
    _host("Host in upper case", b"HOST: T", "T"),
    _host("Host of an IPv4 address", b"Host: 127.0.0.1", "127.0.0.1"),
    _host("Host of an IPv6 address", b"Host: [::1]:80", "[::1]:80"),
    _host("Host with encoded bytes", b"Host: %C3%A4.test", "%C3%A4.test"),
    _host("Host with a dot at its end", b"Host: t.", "t."),
    _host("Host with an underscore", b"Host: my_service", "my_service"),
    _host("Host with spaces around it", b"Host:  t  ", "t"),
    _host("Host with tabs around it", b"Host:\tt\t", "t"),
    # What a client must send when its target has no authority (3.2).
    _host("empty Host", b"Host:", ""),
    _bad_host("no Host", b"X-A: a"),
    _bad_host("two equal Hosts", b"Host: t\r\nHost: t"),
    _bad_host("two Hosts", b"Host: t\r\nHost: u"),
    _bad_host("two Hosts, one empty", b"Host: t\r\nHost:"),
    _bad_host("two Hosts in different cases", b"Host: t\r\nhOST: u"),
    _bad_host("two Hosts far apart", b"Host: t\r\nX-A: a\r\nX-B: b\r\nHost: u"),
    _bad_host("space before the Host's colon", b"Host : t"),
    _bad_host("underscore in the Host's name", b"Host_: t"),
    # "A server MUST respond with a 400 … to … a Host header field with an invalid field value."
    _bad_host("space in the Host", b"Host: t u"),
    _bad_host("tab in the Host", b"Host: t\tu"),
    _bad_host("two Hosts in a list", b"Host: t, u"),
    _bad_host("path in the Host", b"Host: t/score"),
    _bad_host("query in the Host", b"Host: t?a"),
    _bad_host("fragment in the Host", b"Host: t#a"),
    _bad_host("user in the Host", b"Host: user@t"),
    _bad_host("scheme in the Host", b"Host: http://t"),
    _bad_host("word as the Host's port", b"Host: t:http"),
    _bad_host("negative port", b"Host: t:-80"),
    _bad_host("two ports", b"Host: t:80:81"),
    _bad_host("open bracket in the Host", b"Host: [::1"),
    _bad_host("empty brackets as Host", b"Host: []"),
    _bad_host("backslash in the Host", b"Host: t\\u"),
    _bad_host("quotes around the Host", b'Host: "t"'),
    _bad_host("markup in the Host", b"Host: <script>"),
    _bad_host("high bytes in the Host", "Host: ä.test".encode()),
    _bad_host("bad percent sign in the Host", b"Host: %zz"),
    _bad_host("NUL in the Host", b"Host: t\0u"),
)

CASES = (*NAMES, *VALUES, *LINES, *BOMBS, *HOSTS)
