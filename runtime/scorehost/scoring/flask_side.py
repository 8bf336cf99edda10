"""A request to Flask's and a response from Flask's, where a script deals in them.

Imported only when a script is raw, imported Flask itself, or returned a response.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from flask import Flask
from werkzeug.wrappers import Response

from scorehost.errors import ResultNotEncodable
from scorehost.messages import HeaderList, OwnAnswer, ScoringRequest, Stream
from scorehost.raw_http import RUN_FAILED_HEADER, AMLRequest, AMLResponse
from scorehost.scoring.streaming import begin

_FRAMING: Final = frozenset(
    {
        "connection", "content-length", "content-type", "keep-alive", "proxy-authenticate",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", RUN_FAILED_HEADER,
    }
)  # fmt: skip
"""Headers of a response that are the server's to write (or that travel by themselves)."""

_BODILESS: Final = frozenset({204, 304})
"""Statuses that end the answer with its headers; what Flask streams for 304 is the file."""


def make_app() -> Flask:
    """Make the app whose context ``flask.request`` and ``jsonify`` find inside ``run()``."""
    app = Flask("scorehost", static_folder=None)
    app.request_class = AMLRequest
    return app


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
        "CONTENT_TYPE": request.content_type,
        "CONTENT_LENGTH": str(len(request.body)),
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
    _add_headers(environ, request.headers)
    if authority:
        environ["HTTP_HOST"] = authority
    return environ


def _absolute(target: str) -> tuple[str, str]:
    """Split a target as proxies get it; its authority goes before Host: RFC 9112, 3.2.2."""
    _, found, rest = target.partition("://")
    if not found:
        return "", target
    authority, _, path = rest.partition("/")
    return authority.rpartition("@")[2], f"/{path}"


def _add_headers(environ: dict[str, Any], headers: HeaderList) -> None:
    for name, value in headers:
        key = name.upper().replace("-", "_")
        # An underscore would pass for a dash: X_Real_IP for X-Real-IP.
        if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} or "_" in name:
            continue
        key = f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ", "
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value


def outcome_of(
    response: Response, encode: Callable[[object], bytes], run_ns: int
) -> OwnAnswer | Stream:
    """Take a script's own response apart.

    Its status, headers and body are kept; what frames the message on the connection
    (Content-Length, Connection, …) is the server's.

    Parameters
    ----------
    response : what ``run()`` returned.
    encode : makes JSON of a message that an ``AMLResponse`` left to us.
    run_ns : what ``run()`` took.

    Raises
    ------
    ResultNotEncodable
        Its status is none that an answer can have.
    """
    status = response.status_code
    if not 200 <= status <= 599:
        response.close()
        problem = f"{status} is not the status of an answer; give one from 200 to 599"
        raise ResultNotEncodable("result.status_code", problem)
    if isinstance(response, AMLResponse) and response.unencoded is not None:
        response.set_data(encode(response.unencoded))
    headers = [item for item in response.headers if item[0].lower() not in _FRAMING]
    failed = response.headers.get(RUN_FAILED_HEADER, "").lower() == "true"
    common: dict[str, Any] = {
        "status": status,
        "headers": headers,
        "content_type": (response.headers.getlist("Content-Type") or [""])[-1],
        "run_ns": run_ns,
        "run_function_failed": failed or status >= 500,
    }
    if status in _BODILESS:
        response.close()
        return OwnAnswer(b"", **common)
    if response.is_streamed or response.direct_passthrough:
        return Stream(begin(_chunks(response)), own_response=True, **common)
    body = response.get_data()
    response.close()
    return OwnAnswer(body, **common)


def _chunks(response: Response) -> Generator[bytes, None, None]:
    try:
        yield from response.iter_encoded()
    finally:
        response.close()
