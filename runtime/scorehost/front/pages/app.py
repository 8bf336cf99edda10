"""The pages that are not scoring: a small Flask app, called on one thread of the front.

Flask is imported when the app is made, which is when somebody first asks for a page; probes,
metrics and the swagger documents don't come through here. The app knows nothing of workers or
sockets: it asks its context for what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from scorehost.front.pages.context import PageContext
from scorehost.wire.messages import HeaderList

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.exceptions import HTTPException

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",  # Swagger UI's icons; an image that run() returned
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The pages load nothing from other hosts, and run no inline scripts."""


def make_pages(context: PageContext) -> Flask:
    """The Flask application that has /docs and the other pages."""
    from flask import Flask

    from scorehost.front.pages.docs import add_docs

    app = Flask("scorehost.front.pages", static_folder=None, template_folder="files")
    # DEBUG is off whatever FLASK_DEBUG says. A fault of ours is raised by serve_page(), and the
    # front logs it.
    app.config.update(DEBUG=False, PROPAGATE_EXCEPTIONS=True)
    app.after_request(_guard)
    _answer_errors_as_json(app)
    add_docs(app, context)
    if context.extend is not None:
        context.extend(app)
    return app


def _guard(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-cache")
    return response


def _answer_errors_as_json(app: Flask) -> None:
    """Errors have the form that all errors of the server have: ``{"message": …}``."""
    from flask import jsonify
    from werkzeug.exceptions import HTTPException

    def answer(error: HTTPException) -> Response:
        response: Response = jsonify(message=error.description)
        response.status_code = error.code or 500
        allowed = {name: value for name, value in error.get_headers() if name == "Allow"}
        response.headers.update(allowed)
        return response

    app.register_error_handler(HTTPException, answer)


def serve_page(
    app: Flask, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
) -> tuple[int, HeaderList, bytes]:
    """Call the app with one request and collect its response.

    Parameters
    ----------
    app : what :func:`make_pages` made.
    method : the HTTP method, upper case.
    target : path and query as sent, percent-encoded.
    headers : name and value pairs.
    body : the whole body.

    Returns
    -------
    status, headers and body. HEAD is answered like GET; the front leaves the body out.
    """
    from werkzeug.datastructures import Headers
    from werkzeug.test import EnvironBuilder, run_wsgi_app

    if not target.startswith("/"):  # absolute form, as for a proxy
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    builder = EnvironBuilder(
        path=path,
        query_string=query,
        method="GET" if method == "HEAD" else method,
        headers=Headers(list(headers)),
        data=body,
    )
    try:
        chunks, status, found = run_wsgi_app(app, builder.get_environ(), buffered=True)
        return int(status.split()[0]), list(found), b"".join(chunks)
    finally:
        builder.close()
