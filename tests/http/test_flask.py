"""Flask in scripts that are not raw: the request in ``run()``, and nothing kept for the next."""

from __future__ import annotations

import pytest

from support.server import StartServer

SCRIPT = """
{top}
def init(): pass
def run(data):
    {run}
"""
LIBRARY = """
import flask
def method():
    return flask.jsonify(flask.request.method)
"""


def script(run: str, top: str = "") -> dict[str, str]:
    return {"main.py": SCRIPT.format(top=top, run=run)}


@pytest.mark.parametrize("top", ["import flask", "flask = __import__('flask')", ""])
def test_flask_has_the_request_in_any_script(own_server: StartServer, top: str) -> None:
    """From the first one on, wherever the script imports Flask."""
    seen = "r = flask.request; return [r.method, r.full_path, r.headers['X-Custom'], data]"
    server = own_server("", files=script(seen if top else f"import flask; {seen}", top))

    for number in ("1", "2"):
        response = server.post(f"/score?a={number}", body=b"body", headers={"X-Custom": number})
        assert response.json() == ["POST", f"/score?a={number}", number, "body"]


def test_flask_in_a_library_works_from_the_second_request_on(own_server: StartServer) -> None:
    """Nobody could know of it before the first."""
    files = script("import library; return library.method()") | {"library.py": LIBRARY}
    server = own_server("", files=files)

    assert [server.post(json=1).status for _ in range(3)] == [500, 200, 200]


def test_a_script_that_sees_no_flask_does_not_import_it(own_server: StartServer) -> None:
    server = own_server(
        "", files=script("return sorted({'fl' + 'ask'} & {*sys.modules})", "import sys")
    )

    assert server.score(1) == []
