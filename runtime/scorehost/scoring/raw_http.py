"""Flask's request and response, as scripts know them.

Everything that needs Flask on the way of a request is here; the module is imported only when a
script is raw, uses ``AMLRequest`` or ``AMLResponse``, or returns a Flask response.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from flask import Flask, Request, Response
from werkzeug.wrappers import Response as AnyResponse

from scorehost.messages import Answer, HeaderList, ScoringRequest, Stream
from scorehost.scoring.encoding import Encoder
from scorehost.scoring.streaming import begin

RUN_FAILED_HEADER: Final = "x-ms-run-function-failed"

_FRAMING: Final = frozenset(
    {
        "connection", "content-length", "content-type", "keep-alive", "proxy-authenticate",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", RUN_FAILED_HEADER,
    }
)  # fmt: skip
"""Headers of a response that are the server's to write (or that travel by themselves)."""


class AMLRequest(Request):
    """The HTTP request that a ``@rawhttp`` ``run()`` receives: a Flask request."""


class AMLResponse(Response):
    """A response with status, headers and body of the script's choosing.

    Parameters
    ----------
    message : the body, text or bytes; None becomes ``{}``.
    status_code : the HTTP status.
    response_headers : a value with commas becomes repeated headers.
    json_str : encode ``message`` as JSON first.
    run_function_failed : value of ``x-ms-run-function-failed``.
    """

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        if message is None or json_str:
            body = b"{}" if message is None else Encoder(root="message").encode(message)
            super().__init__(body, status=status_code, mimetype="application/json")
        else:
            super().__init__(message, status=status_code)
        self.headers[RUN_FAILED_HEADER] = str(run_function_failed)
        for name, value in (response_headers or {}).items():
            if name.lower() == "content-type":
                del self.headers[name]
            for part in str(value).split(","):
                self.headers.add(name, part.strip())


def make_app() -> Flask:
    """Make the app whose context ``flask.request`` and ``jsonify`` find inside ``run()``."""
    app = Flask("scorehost", static_folder=None)
    app.request_class = AMLRequest
    return app


def environ_of(request: ScoringRequest) -> dict[str, Any]:
    """Write a request as the WSGI environment that Flask reads."""
    path, _, query = request.target.partition("?")
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
    return environ


def _add_headers(environ: dict[str, Any], headers: HeaderList) -> None:
    for name, value in headers:
        key = name.upper().replace("-", "_")
        # An underscore would pass for a dash: X_Real_IP for X-Real-IP.
        if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} or "_" in name:
            continue
        key = f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ", "
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value


def outcome_of(response: AnyResponse, run_ns: int) -> Answer | Stream:
    """Take a script's own response apart.

    Its status, headers and body are kept; what frames the message on the connection
    (Content-Length, Connection, …) is the server's.
    """
    headers = [item for item in response.headers if item[0].lower() not in _FRAMING]
    failed = response.headers.get(RUN_FAILED_HEADER, "").lower() == "true"
    common: dict[str, Any] = {
        "status": response.status_code,
        "headers": headers,
        "content_type": response.headers.get("Content-Type", ""),
        "run_ns": run_ns,
        "run_function_failed": failed or response.status_code >= 500,
        "own_response": True,
    }
    if response.is_streamed or response.direct_passthrough:
        return Stream(begin(_chunks(response)), **common)
    body = response.get_data()
    response.close()
    return Answer(body, **common)


def _chunks(response: AnyResponse) -> Generator[bytes, None, None]:
    try:
        yield from response.iter_encoded()
    finally:
        response.close()
