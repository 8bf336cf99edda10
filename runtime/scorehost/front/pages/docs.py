"""``/docs``: Swagger UI over the service's own documents, working without any other host.

Every address in the page is relative to the page itself, so that it works behind a proxy that
adds a path prefix. The page cannot show a service that no worker has described yet; until one has,
it says so and reloads.

Swagger UI's files come from a package on PyPI that is updated with each of its releases. Only the
files are used; the package is never imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorehost.front.pages.context import Documents, PageContext

if TYPE_CHECKING:
    from flask import Flask, Response

_PACKAGE = "flask-swagger-ui"
_MODULE = "flask_swagger_ui"
_FILES = frozenset({"swagger-ui-bundle.js", "swagger-ui.css"})
_OWN = Path(__file__).parent / "files"
_OWN_FILES = frozenset({"docs.css", "docs.js", "favicon.svg"})
_LABELS = {"3.1": "OpenAPI 3.1", "3": "OpenAPI 3.0", "2": "Swagger 2.0"}
_LOOK_AGAIN = 2
"""Seconds after which a page without documents reloads."""
_FOR_GOOD = "public, max-age=31536000, immutable"


def add_docs(app: Flask, context: PageContext) -> None:
    """Add the page and the files it loads."""
    from flask import abort, redirect, render_template, request, send_file

    @app.get("/docs")
    def docs() -> Any:
        documents = context.documents()
        if documents is None:
            waiting = render_template(
                "waiting.html", state=context.state(), seconds=_LOOK_AGAIN, tag=_tag
            )
            return waiting, 503, {"Retry-After": str(_LOOK_AGAIN)}
        version = request.args.get("version") or preferred(documents)
        if version not in documents:
            abort(
                404, f"There is no version {version}. Available versions: {', '.join(documents)}."
            )
        return render_template(
            "docs.html",
            title=title(documents[version]),
            version=version,
            labels={key: _LABELS.get(key, key) for key in _LABELS if key in documents},
            prefix=context.settings.service_path_prefix.strip("/"),
            available=_folder() is not None,
            package=_PACKAGE,
            tag=_tag,
        )

    @app.get("/docs/")
    def slash() -> Any:
        query = request.query_string.decode("latin-1")
        return redirect("../docs" + (f"?{query}" if query else ""), 308)

    @app.get("/docs/files/<name>")
    def file(name: str) -> Response:
        path = _path(name)
        if path is None:
            abort(404, f"There is nothing at {request.path}.")
        tag = _tag(name)
        response = send_file(path, conditional=True, etag=tag, max_age=None)
        if request.args.get("v") == tag:
            response.headers["Cache-Control"] = _FOR_GOOD
        return response


def preferred(documents: Documents) -> str:
    """The newest version; versions that the user wrote come before generated ones."""
    present = [version for version in _LABELS if version in documents]
    own = [version for version in present if "x-generated-by" not in _info(documents[version])]
    return (own or present or [*documents, ""])[0]


def title(document: Mapping[str, Any]) -> str:
    """The document's title, if it has one."""
    return str(_info(document).get("title", ""))


def _info(document: Mapping[str, Any]) -> Mapping[str, Any]:
    info = document.get("info")
    return info if isinstance(info, Mapping) else {}


def _folder() -> Path | None:
    """The folder with Swagger UI's files; None when the package is not installed."""
    spec = importlib.util.find_spec(_MODULE)
    for place in (spec and spec.submodule_search_locations) or ():
        found = Path(place) / "dist"
        if (found / "swagger-ui-bundle.js").is_file():
            return found
    return None


def _path(name: str) -> Path | None:
    """The path of one of the page's files; None for any other name."""
    if name in _OWN_FILES:
        return _OWN / name
    base = _folder() if name in _FILES else None
    return base / name if base is not None and (base / name).is_file() else None


def _tag(name: str) -> str:
    """A tag that changes with the file's content; browsers may cache the file until then."""
    path = _path(name)
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]
