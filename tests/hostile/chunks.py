"""Chunked bodies: sizes, extensions, line ends and trailers (RFC 9112, 7.1)."""

from __future__ import annotations

from hostile.cases import CHUNKED, HEADER_LIMIT, SMUGGLED, Case, Ended, Outcome, Read, Refused, case

LAST = b"0\r\n\r\n"


def _chunks(name: str, data: bytes, *outcomes: Outcome, half_closed: bool = False) -> Case:
    """Make a case with these bytes where chunks should be."""
    return case(name, CHUNKED + data, *outcomes, half_closed=half_closed)


def _size(name: str, size: bytes, body: bytes = b"hello") -> Case:
    """Make a case with a size that cannot be read, before a chunk and the last one."""
    return _chunks(f"size: {name}", size + b"\r\n" + body + b"\r\n" + LAST)


def _size_read(name: str, size: bytes, body: bytes = b"hello") -> Case:
    """Make a case with a size that counts."""
    data = size + b"\r\n" + body + b"\r\n" + LAST
    return _chunks(f"size: {name}", data, Read(body.decode()))


def _extension(name: str, extension: bytes) -> Case:
    """Make a case with an extension that cannot be passed over."""
    return _chunks(f"extension: {name}", b"5" + extension + b"\r\nhello\r\n" + LAST)


def _extension_read(name: str, extension: bytes) -> Case:
    """Make a case with an extension that is passed over."""
    return _chunks(f"extension: {name}", b"5" + extension + b"\r\nhello\r\n" + LAST, Read("hello"))


def _trailer(name: str, trailer: bytes, status: int = 400) -> Case:
    """Make a case with trailers that are refused."""
    data = b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n"
    return _chunks(f"trailer: {name}", data, Refused(status))


def _trailer_read(name: str, trailer: bytes, **headers: str | None) -> Case:
    """Make a case with trailers that are passed over, and leave the headers as they are."""
    seen = {key.replace("_", "-"): value for key, value in headers.items()}
    data = b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n"
    return _chunks(f"trailer: {name}", data, Read("hello", host="t", headers=seen))


SIZES = (
    _size_read("plain", b"5"),
    _size_read("leading zeros", b"0005"),
    _size_read("a hundred leading zeros", b"0" * 100 + b"5"),
    _size_read("lower-case letter", b"a", b"0123456789"),
    _size_read("upper-case letter", b"A", b"0123456789"),
    _size_read("two digits", b"1a", b"x" * 26),
    _size_read("of a request", b"%x" % len(SMUGGLED), SMUGGLED),
    _chunks("size: several", b"1\r\nh\r\n2\r\nel\r\n2\r\nlo\r\n" + LAST, Read("hello")),
    _chunks("size: several zeros at the end", b"5\r\nhello\r\n0000\r\n\r\n", Read("hello")),
    _chunks("size: nothing at all", LAST, Read()),
    _chunks(
        "size: what looks like the last chunk", b"5\r\n0\r\n\r\n\r\n" + LAST, Read(LAST.decode())
    ),
    _size("0x", b"0x5"),
    _size("0X", b"0X5"),
    _size("x", b"x5"),
    _size("h behind it", b"5h"),
    _size("plus sign", b"+5"),
    _size("minus sign", b"-5"),
    _size("minus 1", b"-1", b"h"),
    _size("space before it", b" 5"),
    _size("tab before it", b"\t5"),
    # Whitespace is bad whitespace at best, where an extension follows.
    _size("space behind it", b"5 "),
    _size("tab behind it", b"5\t"),
    _size("many spaces behind it", b"5" + b" " * 100),
    _size("space inside", b"0 5"),
    _size("vertical tab behind it", b"5\x0b"),
    _size("form feed behind it", b"5\x0c"),
    _size("NUL before it", b"\x005"),
    _size("NUL behind it", b"5\0"),
    _size("no-break space behind it", b"5\xa0"),
    _size("empty", b""),
    _size("empty with an extension", b";a=b"),
    _size("letter beyond f", b"g"),
    _size("digit and a letter beyond f", b"5g"),
    _size("decimal point", b"5.0"),
    _size("comma", b"5,5"),
    _size("underscore", b"0_5"),
    _size("quotes", b'"5"'),
    _size("Arabic digit", "٥".encode()),
    _size("fullwidth digit", "５".encode()),
    _size("2 to the 64th", b"10000000000000000"),
    _size("2 to the 64th and 5", b"10000000000000005"),
    _size("a hundred digits", b"f" * 100),
    _size("CR behind it", b"5\r"),
    _size("LF before it", b"\n5"),
    _size("CRLF before it", b"\r\n5"),
    _chunks("size: 2 to the 64th less 1", b"f" * 16 + b"\r\nhello", Ended(), half_closed=True),
    _chunks("size: 2 to the 32nd and 5", b"100000005\r\nhello", Ended(), half_closed=True),
    _chunks("size: minus nothing", b"5\r\nhello\r\n-0\r\n\r\n"),
    _chunks("size: 0x at the end", b"5\r\nhello\r\n0x0\r\n\r\n"),
    _chunks("size: missing at the end", b"5\r\nhello\r\n\r\n"),
)

LINE_ENDS = (
    _chunks("line end: LF after the size", b"5\nhello\r\n" + LAST),
    _chunks("line end: CR after the size", b"5\rhello\r\n" + LAST),
    _chunks("line end: LF and CR after the size", b"5\n\rhello\r\n" + LAST),
    _chunks("line end: none after the size", b"5hello\r\n" + LAST),
    _chunks("line end: two after the size", b"5\r\n\r\nhello\r\n" + LAST),
    _chunks("line end: LF after the data", b"5\r\nhello\n" + LAST),
    _chunks("line end: CR after the data", b"5\r\nhello\r" + LAST),
    _chunks("line end: none after the data", b"5\r\nhello" + LAST),
    _chunks("line end: two after the data", b"5\r\nhello\r\n\r\n" + LAST),
    _chunks("line end: space before it", b"5\r\nhello \r\n" + LAST),
    _chunks("line end: two letters instead", b"5\r\nhelloxx" + LAST),
    _chunks("line end: LF everywhere", b"5\nhello\n0\n\n"),
    _chunks("line end: LF after the last size", b"5\r\nhello\r\n0\n\r\n"),
    _chunks("line end: CR after the last size", b"5\r\nhello\r\n0\r\r\n"),
    _chunks("line end: LF at the end", b"5\r\nhello\r\n0\r\n\n"),
    _chunks("line end: two LFs at the end", b"5\r\nhello\r\n0\n\n"),
    _chunks("line end: CR at the end", b"5\r\nhello\r\n0\r\n\rx"),
    _chunks("line end: letter instead of the last", b"5\r\nhello\r\n0\r\nx\r\n"),
    _chunks("line end: missing at the end, then a request", b"5\r\nhello\r\n0\r\n" + SMUGGLED),
)

LENGTHS = (
    _chunks("data: longer than its size", b"4\r\nhello\r\n" + LAST),
    _chunks("data: longer by a chunk", b"1\r\nh5\r\nhello\r\n" + LAST),
    _chunks("data: shorter than its size", b"6\r\nhello\r\n" + LAST),
    _chunks("data: shorter than its size by two", b"7\r\nhello\r\n" + LAST),
    _chunks("data: ends in the middle", b"6\r\nhello", Ended(), half_closed=True),
    _chunks("data: ends before the last chunk", b"5\r\nhello\r\n", Ended(), half_closed=True),
    _chunks("data: ends in the last chunk", b"5\r\nhello\r\n0", Ended(), half_closed=True),
    _chunks(
        "data: ends before the last line end", b"5\r\nhello\r\n0\r\n", Ended(), half_closed=True
    ),
    _chunks("data: ends in the last line end", b"5\r\nhello\r\n0\r\n\r", Ended(), half_closed=True),
    _chunks("data: ends in a trailer", b"5\r\nhello\r\n0\r\nX-A: a\r\n", Ended(), half_closed=True),
    _chunks(
        "data: after the last chunk", b"5\r\nhello\r\n0\r\n\r\nhello", Read("hello"), Refused()
    ),
    _chunks("data: a chunk after the last", b"5\r\nhello\r\n" + LAST * 2, Read("hello"), Refused()),
)

EXTENSIONS = (
    _extension_read("name", b";a"),
    _extension_read("name and value", b";a=b"),
    _extension_read("several", b";a=b;c;d=e"),
    _extension_read("quoted value", b';a="b"'),
    _extension_read("semicolon in quotes", b';a="b;c=d"'),
    _extension_read("empty quotes", b';a=""'),
    _extension_read("escaped quote", b';a="b\\"c"'),
    _extension_read("escaped backslash", b';a="b\\\\"'),
    _extension_read("space in quotes", b';a="b c\td"'),
    _extension_read("long", b";a=" + b"b" * 1000),
    _extension_read("what looks like a size", b";ffff"),
    _extension_read("high byte in quotes", b';a="\xff"'),
    _extension_read("as long as all headers may be", b";a=" + b"b" * (HEADER_LIMIT - 200)),
    # Not in the grammar; nobody mistakes where they end, and what they say is passed over anyway.
    _extension_read("no name", b";=b"),
    _extension_read("no value", b";a="),
    _extension_read("two semicolons", b";;a"),
    # Bad whitespace should be passed over (RFC 9110, 5.6.3). Nobody sends it, and other servers
    # have been seen to take what stands behind it for the size.
    _extension("space before it", b" ;a"),
    _extension("tab before it", b"\t;a"),
    _extension("space after the semicolon", b"; a"),
    _extension("space before the equals sign", b";a =b"),
    _extension("space after the equals sign", b";a= b"),
    _extension("space behind it", b";a=b "),
    _extension("nothing but a semicolon", b";"),
    _extension("semicolon behind it", b";a;"),
    _extension("two names", b";a b"),
    _extension("two values", b";a=b=c"),
    _extension("comma", b";a=b,c"),
    _extension("quoted name", b';"a"'),
    _extension("brackets", b";(a)"),
    _extension("high byte in its name", b";\xff"),
    _extension("high byte in its value", b";a=\xff"),
    _extension("control character in quotes", b';a="\x01"'),
    _chunks("extension: of the last chunk", b"5\r\nhello\r\n0;a=b\r\n\r\n", Read("hello")),
    _chunks(
        "extension: of every chunk",
        b"".join(b"1;a=%d\r\n%c\r\n" % (number, letter) for number, letter in enumerate(b"hello"))
        + LAST,
        Read("hello"),
    ),
    _extension("LF in it", b";a=\nb"),
    _extension("LF behind it", b";a\n"),
    _extension("CR in it", b";a=\rb"),
    _extension("CR behind it", b";a=b\r"),
    _extension("NUL in it", b";a=\0"),
    _extension("control character in it", b";a=\x01"),
    _extension("LF in quotes", b';a="\n"'),
    _extension("CR in quotes", b';a="\r"'),
    _extension("line break in quotes", b';a="\r\n"'),
    _extension("open quotes", b';a="b'),
    _extension("open quotes over two lines", b';a="b\r\nhello\r\n0;c="'),
    _extension("letter behind quotes", b';a="b"c'),
    _extension("escaped line break", b';a="\\\r\n"'),
    _extension("a request in it", b";a\n\n" + SMUGGLED),
    # "A server ought to limit the total length of chunk extensions" (7.1.1).
    _chunks(
        "extension: endless",
        b"5;a=" + b"b" * (4 * HEADER_LIMIT) + b"\r\nhello\r\n" + LAST,
        Refused(431),
    ),
    _chunks(
        "extension: more than enough in many chunks",
        (b"1;a=" + b"b" * 1000 + b"\r\nx\r\n") * 100 + LAST,
        Refused(431),
    ),
    _chunks("extension: LF in that of the last chunk", b"5\r\nhello\r\n0;a\n\r\n\r\n"),
)

# A trailer is no header: what it says of the body, the host or the connection comes too late
# (RFC 9110, 6.5.1).
TRAILERS = (
    _trailer_read("one", b"X-A: a", x_a=None),
    _trailer_read("several", b"X-A: a\r\nX-B: b\r\nX-A: c", x_a=None, x_b=None),
    _trailer_read("empty value", b"X-A:", x_a=None),
    _trailer_read("high bytes", b"X-A: \xe4", x_a=None),
    _trailer_read("Host", b"Host: evil.test"),
    _trailer_read("Authorization", b"Authorization: Basic x", authorization=None),
    _trailer_read("Content-Type", b"Content-Type: application/json", content_type=None),
    _trailer_read("an id", b"x-request-id: evil", x_request_id=None),
    _trailer_read("Expect", b"Expect: 100-continue", expect=None),
    # The answer has not gone out yet, so it can still say that it is the last.
    _chunks(
        "trailer: Connection: close",
        b"5\r\nhello\r\n0\r\nConnection: close\r\n\r\n",
        Read("hello", host="t", headers={"connection": None}, closes=True),
    ),
    _trailer_read("Connection: keep-alive", b"Connection: keep-alive", connection=None),
    _trailer_read("Upgrade", b"Connection: Upgrade\r\nUpgrade: h2c", upgrade=None),
    # Passing over them would be right too; llhttp refuses what could be taken for framing.
    _trailer("Content-Length", b"Content-Length: 5"),
    _trailer("Content-Length of nothing", b"Content-Length: 0"),
    _trailer("bad Content-Length", b"Content-Length: x"),
    _trailer("Transfer-Encoding", b"Transfer-Encoding: chunked"),
    _trailer("Transfer-Encoding that nobody knows", b"Transfer-Encoding: x"),
    _trailer("no colon", b"X-A"),
    _trailer("no name", b": a"),
    _trailer("space before the colon", b"X-A : a"),
    _trailer("space before the name", b" X-A: a"),
    _trailer("space in the name", b"X A: a"),
    _trailer("high byte in the name", b"X-\xe4: a"),
    _trailer("folded", b"X-A: a\r\n b"),
    _trailer("NUL in the value", b"X-A: \0"),
    _trailer("CR in the value", b"X-A: a\rb"),
    _trailer("LF after it", b"X-A: a\nX-B: b"),
    _trailer("two LFs after it", b"X-A: a\n\n" + SMUGGLED),
    _trailer("CR after it", b"X-A: a\rX-B: b"),
    _trailer("a request line", b"GET /score?smuggled HTTP/1.1\r\nHost: t"),
    _trailer("very long", b"X-A: " + b"a" * (2 * HEADER_LIMIT), 431),
    _trailer("many", b"\r\n".join(b"X-%d: a" % number for number in range(2000)), 431),
    _trailer("many empty ones", b"\r\n".join([b"X:"] * (HEADER_LIMIT + 1)), 431),
)

CASES = (*SIZES, *LINE_ENDS, *LENGTHS, *EXTENSIONS, *TRAILERS)
