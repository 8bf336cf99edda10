"""Where Swagger UI's files are: in a package from PyPI that is renewed with each release.

Only its files are used; the package is never imported.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGE = "flask-swagger-ui"
FILES = frozenset({"swagger-ui-bundle.js", "swagger-ui.css"})

_MODULE = "flask_swagger_ui"


def folder() -> Path | None:
    """The folder with the files; None when the package is not installed."""
    spec = importlib.util.find_spec(_MODULE)
    for place in (spec and spec.submodule_search_locations) or ():
        found = Path(place) / "dist"
        if (found / "swagger-ui-bundle.js").is_file():
            return found
    return None
