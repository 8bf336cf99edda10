"""Our request as Flask's, and Flask's response as ours, for scripts that use them.

It is imported only when a script is raw, has to do with Flask itself, or returned a response.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from flask import Flask, Request
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from scorehost.errors import ResultNotEncodable
from scorehost.raw_http import RUN_FAILED_HEADER, AMLRequest, AMLResponse
from scorehost.scoring.streaming import begin
from scorehost.wire.messages import HeaderList, Outcome, OwnAnswer, ScoringRequest, Stream

if TYPE_CHECKING:
    from flask.ctx import RequestContext
    from typing_extensions import TypeAlias

Score: TypeAlias = "Callable[[ScoringRequest], Outcome]"

_FRAMING: Final = frozenset({
    "connection", "content-length", "content-type", "keep-alive", "proxy-authenticate",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", RUN_FAILED_HEADER,
})  # fmt: skip
"""Headers of a response that the server writes itself, or that travel separately."""

_BODILESS: Final = frozenset({204, 205, 304})
"""Statuses whose responses have no body (RFC 9110, 15.3.5, 15.3.6 and 15.4.5); for 304, Flask would
stream the file."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_A_VALUE: Final = re.compile(r"[^\t -~\x80-\xff]")
"""What a header's value cannot have (RFC 9110, 5.5): control characters, and all beyond latin-1."""
_NO_NAME: Final = "the name of a header is one word of ASCII letters, digits and !#$%&'*+-.^_`|~"
_LARGEST_HEADERS: Final = 1 << 20
"""Characters of all headers of a response; a client or a proxy that takes a tenth is rare."""


class _App(Flask):
    """The app that ``flask.request`` and ``jsonify`` find inside ``run()``: one without routes."""

    request_class = AMLRequest

    def create_url_adapter(self, request: Request | None) -> None:
        """Match no URL against no routes: half of what a context costs."""


def in_context(score: Score) -> Score:
    """Have each request scored in a Flask context of its own, which its stream keeps.

    It is pushed in a copy of Python's own context, so that nothing of it reaches the next
    request, not even after an interrupt.
    """
    app = _App("scorehost", static_folder=None)

    def score_in_context(request: ScoringRequest) -> Outcome:
        around = contextvars.copy_context()
        pushed = app.request_context(environ_of(request))
        around.run(pushed.push)
        outcome = None
        try:
            outcome = around.run(score, request)
        finally:
            if not isinstance(outcome, Stream):
                around.run(pushed.pop)
        if isinstance(outcome, Stream):
            outcome.chunks = _chunks_in(around, pushed, outcome.chunks)
        return outcome

    return score_in_context


def _chunks_in(
    around: contextvars.Context, pushed: RequestContext, chunks: Iterator[bytes]
) -> Generator[bytes, None, None]:
    try:
        while (chunk := around.run(next, chunks, None)) is not None:
            yield chunk
    finally:
        around.run(_end, pushed, chunks)


def _end(pushed: RequestContext, chunks: Iterator[bytes]) -> None:
    try:
        if (close := getattr(chunks, "close", None)) is not None:
            close()
    finally:
        pushed.pop()


def environ_of(request: ScoringRequest) -> dict[str, Any]:
    """Write a request as the WSGI environment that Flask reads."""
    before, _, query = request.target.partition("?")
    authority, path = ("", before) if before.startswith("/") else _absolute(before)
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": request.target,
        "RAW_URI": request.target,
        "REMOTE_ADDR": request.remote_address,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if request.content_type:
        environ["CONTENT_TYPE"] = request.content_type
    _add_headers(environ, request.headers)
    if "CONTENT_LENGTH" in environ:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    if authority:
        environ["HTTP_HOST"] = authority
    return environ


def _absolute(target: str) -> tuple[str, str]:
    """Split a target as proxies get it; its authority overrides Host (RFC 9112, 3.2.2)."""
    _, found, rest = target.partition("://")
    if not found:
        return "", target
    authority, _, path = rest.partition("/")
    return authority.rpartition("@")[2], f"/{path}"


def _add_headers(environ: dict[str, Any], headers: HeaderList) -> None:
    for name, value in headers:
        key = name.upper().replace("-", "_")
        if "_" in name:  # X_Real_IP would be taken for X-Real-IP
            continue
        if key in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            environ.setdefault(key, value)
            continue
        key = f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ", "
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value


def outcome_of(
    response: Response, encode: Callable[[object], bytes], run_ns: int
) -> OwnAnswer | Stream:
    """Take a script's own response apart.

    Its status, headers and body are kept; the headers that frame the message on the connection
    (Content-Length, Connection, …) are the server's.

    Parameters
    ----------
    response : what ``run()`` returned.
    encode : makes JSON of a message that an ``AMLResponse`` left to us.
    run_ns : what ``run()`` took.

    Raises
    ------
    ResultNotEncodable
        HTTP has no form for its status, a header or its body.
    """
    try:
        common = _head(response, run_ns)
        if isinstance(response, AMLResponse) and response.unencoded is not None:
            response.set_data(encode(response.unencoded))
    except BaseException:
        with contextlib.suppress(Exception):  # the first failure is the one that matters
            response.close()
        raise
    if common["status"] in _BODILESS:
        response.close()
        return OwnAnswer(b"", **common)
    if response.is_streamed or response.direct_passthrough:
        return Stream(begin(_chunks(response)), own_response=True, **common)
    body = _bytes("result.data", response.get_data())
    response.close()
    return OwnAnswer(body, **common)


def _head(response: Response, run_ns: int) -> dict[str, Any]:
    """Return all of a response but its body."""
    status = response.status_code
    if not 200 <= status <= 599:
        problem = f"{status} is not a status that a response can have; use one from 200 to 599"
        raise ResultNotEncodable("result.status_code", problem)
    given = Headers(response.headers)  # a script may have put a dict in their place
    check_headers(given)
    failed = given.get(RUN_FAILED_HEADER, "").lower() == "true"
    return {
        "status": status,
        "headers": [(name, value) for name, value in given if name.lower() not in _FRAMING],
        "content_type": (given.getlist("Content-Type") or [""])[-1],
        "run_ns": run_ns,
        "run_function_failed": failed or status >= 500,
    }


def check_headers(headers: Headers) -> None:
    """Check that HTTP can carry the headers of a script's response, every one as it is.

    Raises
    ------
    ResultNotEncodable
        It cannot.
    """
    size = 0
    for name, value in headers:
        where = f"result.headers[{name!r:.100}]"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ResultNotEncodable(where, _NO_NAME)
        unfit = _NOT_IN_A_VALUE.search(value)
        if unfit:
            problem = (
                f"the value has {unfit[0]!a} at {unfit.start()}; a header can hold only latin-1 "
                "characters, and no control characters: use percent-encoding or base64 for others"
            )
            raise ResultNotEncodable(where, problem)
        size += len(name) + len(value)
    if size > _LARGEST_HEADERS:
        problem = f"they have {size} characters; at most {_LARGEST_HEADERS} are sent"
        raise ResultNotEncodable("result.headers", problem)


def _bytes(where: str, data: object) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ResultNotEncodable(
        where, f"a body is made of bytes or text, not of {type(data).__name__}"
    )


def _chunks(response: Response) -> Generator[bytes, None, None]:
    try:
        for chunk in response.iter_encoded():
            yield _bytes("result.response", chunk)
    finally:
        response.close()
