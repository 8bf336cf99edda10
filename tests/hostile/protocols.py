"""What clients of other protocols send, to this port by mistake or on purpose.

Each gets an answer that it cannot read, and an end: nobody waits.
"""

from __future__ import annotations

from hostile.cases import HOST, SMUGGLED, Ended, Read, Refused, case, good

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS_FRAME = b"\0\0\0\x04\0\0\0\0\0"
# A handshake record with a hello of 512 bytes, all of them zero but for version and length.
TLS_HELLO = b"\x16\x03\x01\x02\x04\x01\x00\x02\x00\x03\x03" + bytes(510)
PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\x10\0\x10\1"

CASES = (
    case("the preface of HTTP/2", PREFACE),
    case("the preface of HTTP/2 and a frame", PREFACE + SETTINGS_FRAME),
    case("the preface of HTTP/2 and a request", PREFACE + SMUGGLED),
    case("the preface of HTTP/2 cut short", b"PRI * HTTP/2.0\r\n\r\n"),
    case("the preface of HTTP/2 with a Host", b"PRI * HTTP/2.0\r\n" + HOST + b"\r\n"),
    case("PRI with HTTP/1.1", b"PRI * HTTP/1.1\r\n" + HOST + b"\r\n"),
    case("PRI with a path", b"PRI /score HTTP/1.1\r\n" + HOST + b"\r\n"),
    case(
        "the preface of HTTP/2 behind a request",
        good("one") + PREFACE,
        Read("one", target="/score?one"),
        Refused(),
    ),
    case("a hello of TLS", TLS_HELLO),
    case("a hello of TLS and a request", TLS_HELLO + SMUGGLED),
    case("a hello of SSL 2", b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10" + bytes(37)),
    case("an alert of TLS", b"\x15\x03\x03\0\x02\x01\0"),
    case("the PROXY protocol", b"PROXY TCP4 127.0.0.1 127.0.0.1 4096 5001\r\n" + SMUGGLED),
    case("the PROXY protocol, version 2", PROXY_2 + SMUGGLED),
    # Of RTSP, whose requests look like HTTP's, llhttp reads everything.
    case("RTSP", b"OPTIONS /score RTSP/1.0\r\n" + HOST + b"CSeq: 1\r\n\r\n"),
    case("RTSP with GET", b"GET /score RTSP/1.0\r\n" + HOST + b"\r\n"),
    case(
        "RTSP with GET, kept", b"GET /score RTSP/1.0\r\nConnection: keep-alive\r\n" + HOST + b"\r\n"
    ),
    case("RTSP with POST", b"POST /score RTSP/1.0\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"),
    case("RTSP with DESCRIBE", b"DESCRIBE rtsp://t/score RTSP/1.0\r\nCSeq: 2\r\n\r\n"),
    case("RTSP with SETUP", b"SETUP /score RTSP/1.0\r\n" + HOST + b"\r\n"),
    case("RTSP with RECORD", b"RECORD /score RTSP/1.0\r\n" + HOST + b"\r\n"),
    case("RTSP/1.1", b"GET /score RTSP/1.1\r\n" + HOST + b"\r\n"),
    case("RTSP/2.0", b"GET /score RTSP/2.0\r\n" + HOST + b"\r\n"),
    case("RTSP's method in HTTP", b"DESCRIBE /score HTTP/1.1\r\n" + HOST + b"\r\n"),
    case("ICE", b"SOURCE /score ICE/1.0\r\n" + HOST + b"\r\n"),
    case("ICE with GET", b"GET /score ICE/1.0\r\n" + HOST + b"\r\n"),
    case("ICE/1.1", b"SOURCE /score ICE/1.1\r\n" + HOST + b"\r\n"),
    case("SIP", b"OPTIONS sip:t@t SIP/2.0\r\n" + HOST + b"\r\n"),
    case("SSH", b"SSH-2.0-client\r\n" + SMUGGLED),
    case("SMTP", b"EHLO t\r\nMAIL FROM:<a@t>\r\n"),
    case("FTP", b"USER anonymous\r\n"),
    case("Redis", b"*1\r\n$4\r\nPING\r\n"),
    case("Redis in a line", b"PING\r\n"),
    case("memcached", b"get score\r\n"),
    case("Gopher", b"/score\r\n"),
    case("JSON", b'{"method": "GET"}\r\n'),
    case("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    case("an answer and a request", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + SMUGGLED),
    case("a header without a request", b"Host: t\r\n\r\n"),
    case("words", b"hello, is anybody there?\r\n\r\n"),
    case("zeros", bytes(1000)),
    case("ones", b"\xff" * 1000),
    case("all bytes", bytes(range(256))),
    case("the beginning of a hello of TLS", b"\x16", Refused()),
    case("a letter", b"G", Ended(), half_closed=True),
    case("the beginning of a preface", PREFACE[:12], Ended(), half_closed=True),
)
