"""``/docs``: Swagger UI over the service's own documents, working without any other host.

Every address in the page is relative to the page itself, so that it works behind a proxy that
puts a path before it. What the page can't do: know a service that no worker has described yet;
until then it says so and looks again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorehost.front.pages.context import Documents, PageContext
from scorehost.front.pages.swagger_ui import FILES, PACKAGE, folder

if TYPE_CHECKING:
    from flask import Flask, Response


_OWN = Path(__file__).parent / "files"
_OWN_FILES = frozenset({"docs.css", "docs.js", "favicon.svg"})
_LABELS = {"3.1": "OpenAPI 3.1", "3": "OpenAPI 3.0", "2": "Swagger 2.0"}
_LOOK_AGAIN = 2
"""Seconds after which a page without documents looks again."""
_FOR_GOOD = "public, max-age=31536000, immutable"


def add_docs(app: Flask, context: PageContext) -> None:
    """Add the page and the files it loads."""
    from flask import abort, redirect, render_template, request

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
            abort(404, f"There is no version {version}. There are: {', '.join(documents)}.")
        return render_template(
            "docs.html",
            title=title(documents[version]),
            version=version,
            labels={key: _LABELS.get(key, key) for key in _LABELS if key in documents},
            prefix=context.settings.service_path_prefix.strip("/"),
            available=folder() is not None,
            package=PACKAGE,
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
            abort(404, f"Nothing is served under {request.path}.")
        return _file(path)


def preferred(documents: Documents) -> str:
    """The newest version; but one that the user wrote before any that was generated."""
    present = [version for version in _LABELS if version in documents]
    own = [version for version in present if not _is_generated(documents[version])]
    return (own or present or [*documents, ""])[0]


def title(document: Mapping[str, Any]) -> str:
    """The document's title, if it has one."""
    info = document.get("info")
    return str(info.get("title", "")) if isinstance(info, Mapping) else ""


def _is_generated(document: Mapping[str, Any]) -> bool:
    info = document.get("info")
    return isinstance(info, Mapping) and "x-generated-by" in info


def _path(name: str) -> Path | None:
    """Where a file of the page is; None for any other name."""
    if name in _OWN_FILES:
        return _OWN / name
    base = folder() if name in FILES else None
    return base / name if base is not None and (base / name).is_file() else None


def _tag(name: str) -> str:
    """What changes with a file's content: browsers may keep the file for as long as it stays."""
    path = _path(name)
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _file(path: Path) -> Response:
    from flask import request, send_file

    response = send_file(path, conditional=True, etag=_tag(path.name), max_age=None)
    if request.args.get("v") == _tag(path.name):
        response.headers["Cache-Control"] = _FOR_GOOD
    return response
