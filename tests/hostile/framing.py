"""Where a body ends: Content-Length, Transfer-Encoding, and both (RFC 9112, 6)."""

from __future__ import annotations

from hostile.cases import BODY_LIMIT, POST, SMUGGLED, Case, Ended, Read, Refused, case

CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


def _length(name: str, value: bytes, *, status: int = 400, body: bytes = b"hello") -> Case:
    """Make a case with a Content-Length that cannot be read."""
    data = POST + b"Content-Length: " + value + b"\r\n\r\n" + body
    return case(f"length: {name}", data, Refused(status))


def _length_read(name: str, header: bytes, body: str = "hello") -> Case:
    """Make a case with a Content-Length that counts."""
    return case(f"length: {name}", POST + header + b"\r\n\r\n" + body.encode(), Read(body))


def _coding(name: str, headers: bytes, status: int = 400) -> Case:
    """Make a case with codings that cannot be read, or that two readers may read in two ways."""
    return case(f"coding: {name}", POST + headers + b"\r\n\r\n" + CHUNKS, Refused(status))


def _coding_read(name: str, headers: bytes) -> Case:
    """Make a case with codings that mean nothing but chunked."""
    return case(f"coding: {name}", POST + headers + b"\r\n\r\n" + CHUNKS, Read("hello"))


LENGTHS = (
    _length_read("plain", b"Content-Length: 5"),
    _length_read("nothing", b"Content-Length: 0", ""),
    _length_read("without a space", b"Content-Length:5"),
    _length_read("with spaces around it", b"Content-Length:   5  "),
    _length_read("in any case", b"cOnTeNt-LeNgTh: 5"),
    _length_read("leading zeros", b"Content-Length: 0005"),
    _length_read("many leading zeros", b"Content-Length: " + b"0" * 50 + b"5"),
    _length_read("thousands of leading zeros", b"Content-Length: " + b"0" * 5000 + b"5"),
    _length_read("three thousand leading zeros", b"Content-Length: " + b"0" * 3000 + b"5"),
    _length_read("many zeros", b"Content-Length: " + b"0" * 50, ""),
    # RFC 9110, 8.6 would also let a server take equal lengths for one.
    case("length: two equal lines", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    case("length: two lines", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    case("length: two lines, zero first", POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n"),
    case("length: two lines, zero last", POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n"),
    case("length: two lines, one empty", POST + b"Content-Length: 5\r\nContent-Length:\r\n\r\n"),
    case(
        "length: two lines, one empty first", POST + b"Content-Length:\r\nContent-Length: 5\r\n\r\n"
    ),
    case(
        "length: two lines in different cases and far apart",
        POST + b"content-length: 5\r\nX-A: a\r\nCONTENT-LENGTH: 6\r\n\r\nhello!",
    ),
    _length("list of two equal ones", b"5, 5"),
    _length("list of two", b"5, 6"),
    _length("list without spaces", b"5,5"),
    _length("comma behind it", b"5,"),
    _length("comma before it", b",5"),
    _length("two numbers", b"5 5"),
    _length("two numbers and a tab", b"5\t5"),
    _length("plus sign", b"+5"),
    _length("minus sign", b"-5"),
    _length("minus nothing", b"-0", body=b""),
    _length("hexadecimal", b"0x5"),
    _length("hexadecimal without a prefix", b"a", body=b"0123456789"),
    _length("octal", b"0o5"),
    _length("decimal point", b"5.0"),
    _length("decimal point at its end", b"5."),
    _length("exponent", b"5e0"),
    _length("underscore", b"1_0", body=b"0123456789"),
    _length("thousands", b"1'000"),
    _length("quotes", b'"5"'),
    _length("word", b"five"),
    _length("number and a word", b"5 bytes"),
    _length("parameter", b"5;a=b"),
    _length("comment", b"5 (five)"),
    _length("empty", b"", body=b""),
    _length("nothing but spaces", b" \t ", body=b""),
    _length("not a number", b"NaN"),
    _length("infinite", b"Infinity"),
    _length("NUL behind it", b"5\0"),
    _length("NUL before it", b"\x005"),
    _length("vertical tab before it", b"\x0b5"),
    _length("form feed behind it", b"5\x0c"),
    _length("no-break space before it", b"\xa05"),
    _length("CR behind it", b"5\r"),
    _length("LF before it", b"\n5"),
    _length("folded", b"\r\n 5"),
    _length("folded behind it", b"5\r\n 5", body=b"hello" * 11),
    _length("Arabic digit", "٥".encode()),
    _length("fullwidth digit", "５".encode()),
    _length("superscript digit", b"\xb2", body=b"ab"),
    _length("2 to the 64th", b"18446744073709551616"),
    _length("2 to the 64th and 5", b"18446744073709551621"),
    _length("a hundred digits", b"9" * 100),
    _length("2 to the 32nd and 5", b"4294967301", status=413),
    _length("2 to the 63rd and 5", b"9223372036854775813", status=413),
    _length("2 to the 64th less 1", b"18446744073709551615", status=413),
    _length("beyond the limit", b"%d" % (BODY_LIMIT + 1), status=413),
    case("length: space before the colon", POST + b"Content-Length : 5\r\n\r\nhello"),
    case("length: tab before the colon", POST + b"Content-Length\t: 5\r\n\r\nhello"),
    case("length: NUL in its name", POST + b"Content-\0Length: 5\r\n\r\nhello"),
)

# What follows a body is the next request, and what it lacks is taken from there.
BODIES = (
    case(
        "body: a request",
        POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        Read(SMUGGLED.decode()),
    ),
    case("body: of any bytes", POST + b"Content-Length: 4\r\n\r\n\0\r\n\xff", Read("\0\r\n\xff")),
    case(
        "body: longer than announced",
        POST + b"Content-Length: 4\r\n\r\nhello",
        Read("hell"),
        Refused(),
    ),
    case(
        "body: longer by a NUL",
        POST + b"Content-Length: 5\r\n\r\nhello\0",
        Read("hello"),
        Refused(),
    ),
    case(
        "body: longer by a space",
        POST + b"Content-Length: 5\r\n\r\nhello ",
        Read("hello"),
        Refused(),
    ),
    # Old clients send one empty line too many; a server should pass over it (2.2).
    case("body: longer by a line end", POST + b"Content-Length: 5\r\n\r\nhello\r\n", Read("hello")),
    case("body: where none was announced", POST + b"\r\nhello", Read(), Refused()),
    case(
        "body: where nothing was announced",
        POST + b"Content-Length: 0\r\n\r\nhello",
        Read(),
        Refused(),
    ),
    case(
        "body: shorter than announced",
        POST + b"Content-Length: 6\r\n\r\nhello",
        Ended(),
        half_closed=True,
    ),
    case(
        "body: none of what was announced",
        POST + b"Content-Length: 6\r\n\r\n",
        Ended(),
        half_closed=True,
    ),
    case(
        "body: shorter than announced, and a request behind it",
        POST + b"Content-Length: 10\r\n\r\nhelloPOST /",
        Read("helloPOST "),
        Refused(),
    ),
    case(
        "body: at the limit",
        POST + b"Content-Length: %d\r\n\r\n" % BODY_LIMIT + b"x" * BODY_LIMIT,
        Read("x" * BODY_LIMIT),
    ),
    case(
        "body: chunks beyond the limit",
        POST
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 17
        + b"0\r\n\r\n",
        Refused(413),
    ),
)

# "If … chunked … is not the final encoding, … the server MUST respond with the 400 … and then
# close the connection" (6.3). Where it is, but another comes before it, 501 is asked for (6.1).
CODINGS = (
    _coding_read("plain", b"Transfer-Encoding: chunked"),
    _coding_read("without a space", b"Transfer-Encoding:chunked"),
    _coding_read("upper case", b"Transfer-Encoding: CHUNKED"),
    _coding_read("mixed case", b"tRANSFER-eNCODING: ChUnKeD"),
    _coding_read("spaces around it", b"Transfer-Encoding:   chunked   "),
    _coding_read("tab before it", b"Transfer-Encoding:\tchunked"),
    # Lists may have empty elements (RFC 9110, 5.6.1.2). Here nobody sends one who means well.
    _coding("comma before it", b"Transfer-Encoding: ,chunked"),
    _coding_read("with TE", b"TE: trailers, deflate\r\nTransfer-Encoding: chunked"),
    _coding("twice in a line", b"Transfer-Encoding: chunked, chunked"),
    _coding("twice on two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    _coding(
        "twice on two lines in different cases",
        b"transfer-encoding: chunked\r\nTRANSFER-ENCODING: Chunked",
    ),
    _coding("thrice", b"Transfer-Encoding: chunked, chunked, chunked"),
    _coding("gzip before it", b"Transfer-Encoding: gzip, chunked", 501),
    _coding("gzip before it without a space", b"Transfer-Encoding: gzip,chunked", 501),
    _coding("gzip before it and a tab", b"Transfer-Encoding: gzip,\tchunked", 501),
    _coding("gzip before it in upper case", b"Transfer-Encoding: GZIP, CHUNKED", 501),
    _coding(
        "gzip before it on two lines", b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501
    ),
    _coding(
        "gzip before it on two lines far apart",
        b"Transfer-Encoding: gzip\r\nX-A: a\r\ntransfer-encoding: chunked",
        501,
    ),
    _coding("gzip twice before it", b"Transfer-Encoding: gzip, gzip, chunked", 501),
    _coding("deflate before it", b"Transfer-Encoding: deflate, chunked", 501),
    _coding("identity before it", b"Transfer-Encoding: identity, chunked", 501),
    _coding(
        "identity before it on two lines",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        501,
    ),
    _coding("unknown one before it", b"Transfer-Encoding: x, chunked", 501),
    _coding("one with a parameter before it", b"Transfer-Encoding: x;a=b, chunked", 501),
    _coding("gzip after it", b"Transfer-Encoding: chunked, gzip"),
    _coding("gzip after it on two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip"),
    _coding("gzip around it", b"Transfer-Encoding: gzip, chunked, gzip"),
    _coding(
        "gzip around it on three lines",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
    ),
    _coding("identity after it", b"Transfer-Encoding: chunked, identity"),
    _coding(
        "identity after it on two lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ),
    _coding("around gzip", b"Transfer-Encoding: chunked, gzip, chunked"),
    _coding(
        "around gzip on three lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    ),
    _coding("gzip alone", b"Transfer-Encoding: gzip"),
    _coding("identity alone", b"Transfer-Encoding: identity"),
    _coding("none", b"Transfer-Encoding: none"),
    _coding("empty", b"Transfer-Encoding:"),
    _coding("nothing but spaces", b"Transfer-Encoding:  \t "),
    _coding("empty on a first line", b"Transfer-Encoding:\r\nTransfer-Encoding: chunked"),
    _coding("empty on a second line", b"Transfer-Encoding: chunked\r\nTransfer-Encoding:"),
    _coding("letter before it", b"Transfer-Encoding: xchunked"),
    _coding("letter behind it", b"Transfer-Encoding: chunkedx"),
    _coding("cut short", b"Transfer-Encoding: chunke"),
    _coding("hyphen", b"Transfer-Encoding: x-chunked"),
    _coding("space inside", b"Transfer-Encoding: chu nked"),
    _coding("two words", b"Transfer-Encoding: gzip chunked"),
    _coding("two words, it comes first", b"Transfer-Encoding: chunked gzip"),
    _coding("twice with a space", b"Transfer-Encoding: chunked chunked"),
    _coding("semicolon between two", b"Transfer-Encoding: gzip;chunked"),
    # Whitespace around a value and empty elements of a list should be passed over (RFC 9110, 5.5
    # and 5.6.1.2). Nobody but an attacker sends these, and not everybody reads them alike.
    _coding("tab behind it", b"Transfer-Encoding: chunked\t"),
    _coding("tab and a space behind it", b"Transfer-Encoding: chunked\t "),
    _coding("two commas before it", b"Transfer-Encoding: , ,chunked"),
    _coding("comma behind it", b"Transfer-Encoding: chunked,"),
    _coding("comma and a space behind it", b"Transfer-Encoding: chunked, "),
    _coding("nothing but a comma", b"Transfer-Encoding: ,"),
    _coding("colon before it", b"Transfer-Encoding: :chunked"),
    _coding("colon as value", b"Transfer-Encoding: chunked:"),
    _coding("parameter", b"Transfer-Encoding: chunked;a=b"),
    _coding("empty parameter", b"Transfer-Encoding: chunked;"),
    _coding("weight", b"Transfer-Encoding: chunked;q=1"),
    _coding("quotes", b'Transfer-Encoding: "chunked"'),
    _coding("single quotes", b"Transfer-Encoding: 'chunked'"),
    _coding("brackets", b"Transfer-Encoding: [chunked]"),
    _coding("comment", b"Transfer-Encoding: chunked (a)"),
    _coding("vertical tab before it", b"Transfer-Encoding: \x0bchunked"),
    _coding("vertical tab behind it", b"Transfer-Encoding: chunked\x0b"),
    _coding("form feed before it", b"Transfer-Encoding: \x0cchunked"),
    _coding("form feed behind it", b"Transfer-Encoding: chunked\x0c"),
    _coding("NUL before it", b"Transfer-Encoding: \0chunked"),
    _coding("NUL behind it", b"Transfer-Encoding: chunked\0"),
    _coding("DEL behind it", b"Transfer-Encoding: chunked\x7f"),
    _coding("no-break space before it", b"Transfer-Encoding: \xa0chunked"),
    _coding("high byte behind it", b"Transfer-Encoding: chunked\xff"),
    _coding("CR before it", b"Transfer-Encoding:\rchunked"),
    _coding("CR behind it", b"Transfer-Encoding: chunked\r"),
    _coding("LF before it", b"Transfer-Encoding:\nchunked"),
    _coding("folded", b"Transfer-Encoding:\r\n chunked"),
    _coding("folded with a tab", b"Transfer-Encoding:\r\n\tchunked"),
    _coding("folded behind it", b"Transfer-Encoding: chunked\r\n , gzip"),
    _coding("Kelvin sign for its k", "Transfer-Encoding: chun\u212aed".encode()),
    _coding("space before the colon", b"Transfer-Encoding : chunked"),
    _coding("tab before the colon", b"Transfer-Encoding\t: chunked"),
    _coding("NUL before the colon", b"Transfer-Encoding\0: chunked"),
    _coding("high byte before the colon", b"Transfer-Encoding\xff: chunked"),
    _coding("space before its name", b"X-A: a\r\n Transfer-Encoding: chunked"),
    _coding("LF before its name", b"X-A: a\nTransfer-Encoding: chunked"),
    _coding("CR before its name", b"X-A: a\rTransfer-Encoding: chunked"),
)

# "A server MAY reject a request that contains both …": it does, since that is how requests are
# smuggled (6.1, 6.3).
BOTH = (
    _coding("both, length first", b"Content-Length: 15\r\nTransfer-Encoding: chunked"),
    _coding("both, length last", b"Transfer-Encoding: chunked\r\nContent-Length: 15"),
    _coding("both, length of nothing", b"Content-Length: 0\r\nTransfer-Encoding: chunked"),
    _coding("both, length of nothing last", b"Transfer-Encoding: chunked\r\nContent-Length: 0"),
    _coding(
        "both, far apart", b"Content-Length: 15\r\nX-A: a\r\nX-B: b\r\nTransfer-Encoding: chunked"
    ),
    _coding(
        "both, two lengths",
        b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\nContent-Length: 15",
    ),
    _coding("both, gzip before chunked", b"Content-Length: 15\r\nTransfer-Encoding: gzip, chunked"),
    _coding("both, gzip", b"Content-Length: 15\r\nTransfer-Encoding: gzip"),
    _coding("both, gzip and the length last", b"Transfer-Encoding: gzip\r\nContent-Length: 15"),
    _coding("both, identity", b"Content-Length: 15\r\nTransfer-Encoding: identity"),
    _coding(
        "both, identity and the length last", b"Transfer-Encoding: identity\r\nContent-Length: 15"
    ),
    _coding("both, no coding", b"Content-Length: 15\r\nTransfer-Encoding:"),
    _coding("both, no coding and the length last", b"Transfer-Encoding:\r\nContent-Length: 15"),
    _coding("both, letter before chunked", b"Content-Length: 15\r\nTransfer-Encoding: xchunked"),
    _coding("both, no length", b"Content-Length:\r\nTransfer-Encoding: chunked"),
    _coding("both, bad length", b"Content-Length: x\r\nTransfer-Encoding: chunked"),
    case(
        "both, and a request where the length ends",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    ),
    case(
        "both, and a request where the chunks end",
        POST
        + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(SMUGGLED))
        + SMUGGLED,
    ),
    # What only looks like a coding is none, and the length counts.
    case(
        "length and a header whose name begins alike",
        POST + b"Content-Length: 5\r\nTransfer-Encodings: chunked\r\n\r\nhello",
        Read("hello"),
    ),
    case(
        "length and Content-Encoding",
        POST + b"Content-Length: 5\r\nContent-Encoding: chunked\r\n\r\nhello",
        Read("hello"),
    ),
    case("length and TE", POST + b"Content-Length: 5\r\nTE: chunked\r\n\r\nhello", Read("hello")),
)

CASES = (*LENGTHS, *BODIES, *CODINGS, *BOTH)
