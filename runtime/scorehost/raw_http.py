"""Flask's request and response, as raw scripts know them. Imported only when one is used."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from flask import Flask, Request, Response

from scorehost.messages import ScoringRequest


class AMLRequest(Request):
    """The HTTP request a ``@rawhttp`` ``run()`` receives: a Flask request."""


class AMLResponse(Response):
    """A response with status, headers and body of the script's choosing.

    Parameters
    ----------
    message : the body; None becomes ``{}``.
    status_code : the HTTP status.
    response_headers : a value with commas becomes repeated headers.
    json_str : encode ``message`` as JSON.
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
            body = json.dumps({} if message is None else message)
            super().__init__(body, status=status_code, mimetype="application/json")
        else:
            super().__init__(message, status=status_code)
        self.headers["x-ms-run-function-failed"] = str(run_function_failed)
        for name, value in (response_headers or {}).items():
            if name.lower() == "content-type":
                self.headers.remove(name)
            for part in value.split(","):
                self.headers.add(name, part.strip())


def make_app() -> Flask:
    """Make the app whose context surrounds a script that uses Flask."""
    app = Flask("scorehost", static_folder=None)
    app.request_class = AMLRequest
    return app


def environ_of(request: ScoringRequest) -> dict[str, Any]:
    """Write a request as a WSGI environment."""
    path, _, query = request.target.partition("?")
    return {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": request.content_type,
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.url_scheme": "http",
        **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in request.headers},
    }
