"""``AMLRequest`` and ``AMLResponse``: Flask's request and response under their legacy names.

Imported when a script first asks ``scorehost.api`` for one of them, or is raw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from flask import Request, Response

RUN_FAILED_HEADER: Final = "x-ms-run-function-failed"


class AMLRequest(Request):
    """The HTTP request that a ``@rawhttp`` ``run()`` receives: a Flask request."""


class AMLResponse(Response):
    """A response with status, headers and body of the script's choosing.

    Parameters
    ----------
    message : the body, text or bytes; None becomes ``{}``.
    status_code : the HTTP status.
    response_headers : a value with commas becomes repeated headers.
    json_str : encode ``message`` as JSON.
    run_function_failed : value of ``x-ms-run-function-failed``.
    """

    unencoded: Any = None
    """A message that Python's json refused (an array, NaN); the server encodes it."""

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        if message is None or json_str:
            text = self._json({} if message is None else message)
            super().__init__(text, status=status_code, mimetype="application/json")
        else:
            super().__init__(message, status=status_code)
        self.headers[RUN_FAILED_HEADER] = str(run_function_failed)
        for name, value in (response_headers or {}).items():
            if name.lower() == "content-type":
                del self.headers[name]
            for part in str(value).split(","):
                self.headers.add(name, part.strip())

    def _json(self, message: Any) -> str:
        try:
            return json.dumps(message, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            self.unencoded = message
            return ""
