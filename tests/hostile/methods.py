"""Methods that have a body or should have none, and those that only few servers know."""

from __future__ import annotations

from hostile.cases import HOST, SMUGGLED, Answered, Case, Read, Refused, case


def _with_body(method: str) -> Case:
    """Make a case with a body, whose length does not depend on the method (RFC 9112, 6.3)."""
    head = b"%b /score HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n"
    data = head % (method.encode(), len(SMUGGLED)) + SMUGGLED
    return case(f"{method} with a request as body", data, Read(SMUGGLED.decode(), method))


def _with_chunks(method: str) -> Case:
    """Make a case with a body in chunks, for which the same holds."""
    head = b"%b /score HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n"
    data = head % (method.encode(), len(SMUGGLED)) + SMUGGLED + b"\r\n0\r\n\r\n"
    return case(f"{method} with a request as chunk", data, Read(SMUGGLED.decode(), method))


def _without_body(method: str) -> Case:
    """Make a case without a body; none is announced, so none is waited for."""
    data = b"%b /score HTTP/1.1\r\nHost: t\r\n\r\n" % method.encode()
    return case(f"{method} without a body", data, Read(method=method))


CASES = (
    *map(_with_body, ("GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE", "PROPFIND")),
    *map(_with_chunks, ("GET", "HEAD", "DELETE", "OPTIONS")),
    *map(_without_body, ("HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PURGE", "QUERY", "M-SEARCH")),
    case(
        "HEAD of a page",
        b"HEAD /livez HTTP/1.1\r\nHost: t\r\n\r\n",
        Answered(200, "HEAD"),
    ),
    case(
        "HEAD of nothing",
        b"HEAD /nowhere HTTP/1.1\r\nHost: t\r\n\r\n",
        Answered(404, "HEAD"),
    ),
    case(
        "method that a page does not take, with a request as body",
        b"DELETE /livez HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
        + SMUGGLED,
        Answered(405, "DELETE"),
    ),
    case(
        "page that does not exist, with a request as body",
        b"POST /nowhere HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
        + SMUGGLED,
        Answered(404, "POST"),
    ),
    # The answer to HEAD has no body, whatever it says (RFC 9110, 9.3.2).
    case(
        "HEAD that is refused for its headers",
        b"HEAD /score HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        Refused(400, "HEAD"),
    ),
    case(
        "HEAD that is refused for its length",
        b"HEAD /score HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n",
        Refused(413, "HEAD"),
    ),
    case(
        "HEAD that is refused for its version",
        b"HEAD /score HTTP/2.0\r\nHost: t\r\n\r\n",
        Refused(400, "HEAD"),
    ),
)
