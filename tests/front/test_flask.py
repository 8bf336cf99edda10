"""Flask in scripts that are not raw: the request in ``run()``, and nothing kept for the next."""

from __future__ import annotations

from support.server import StartServer

SCRIPT = """
{top}
def init(): pass
def run(data):
    {run}
"""


def script(run: str, top: str = "") -> dict[str, str]:
    return {"main.py": SCRIPT.format(top=top, run=run)}


def test_jsonify_works_where_flask_is_imported_in_run(own_server: StartServer) -> None:
    server = own_server("", files=script("import flask; return flask.jsonify(a=1)"))

    assert [server.score(1) for _ in range(2)] == [{"a": 1}, {"a": 1}]


def test_what_a_request_keeps_in_flask_is_gone_with_it(own_server: StartServer) -> None:
    keep = "return flask.g.setdefault('seen', data)"
    server = own_server("", files=script(keep, "import flask"))

    assert [server.score(number) for number in (1, 2)] == ["1", "2"]


def test_a_stream_has_its_request_to_the_end(own_server: StartServer) -> None:
    stream = "yield flask.request.path; yield flask.request.headers['X-Custom']"
    server = own_server("", files=script(stream, "import flask"))

    for word in ("one", "two"):
        response = server.post(body=b"", headers={"X-Custom": word})
        assert response.body == b"/score" + word.encode()
