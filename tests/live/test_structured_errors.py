"""What a client sees of a request that failed: everything in debug mode, nothing in production."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.server import LiveServer, StartServer, free_port

ROOT = Path(__file__).parents[2]
GENERIC = "An unexpected error occurred in scoring script. Check the logs for more info."

PLAIN = """\
import json

from helper import divide


def init():
    pass


def run(data):
    values = json.loads(data)
    if values == "unencodable":
        return {"rows": [1, object()]}
    return divide(values["secret_column"], 0)
"""
HELPER = """\
def divide(left, right):
    return left / right
"""
TYPED = """\
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema


def init():
    pass


@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
def run(data):
    return data.sum()
"""


def serve(start: StartServer, source: str, *, debug: bool) -> LiveServer:
    settings = {"SCOREHOST_DEBUG": "1", "SCOREHOST_DEBUG_PORT": str(free_port())} if debug else {}
    return start("", files={"main.py": source, "helper.py": HELPER}, settings=settings)


RUN = {"json": {"secret_column": 4711}}
ENCODE = {"json": "unencodable"}
DECODE = {"body": b"[\xff 4711]", "headers": {"Content-Type": "application/json"}}
VALIDATE = {"json": {"data": [["four", "4711"]]}}
UNREADABLE = {"body": b'{"data": 4711', "headers": {"Content-Type": "application/json"}}

FRAMES = [
    {"file": "main.py", "line": 14, "function": "run",
     "code": 'return divide(values["secret_column"], 0)'},
    {"file": "helper.py", "line": 2, "function": "divide", "code": "return left / right"},
]  # fmt: skip


def structured(server: LiveServer, request: dict[str, Any]) -> tuple[int, str, dict[str, Any]]:
    """The answer, its id checked and taken out."""
    response = server.post(**request)
    document = response.json()
    assert set(document) == {"message", "error"}
    assert document["error"].pop("id") == response.header("x-request-id")
    return response.status, document["message"], document["error"]


DOCS = "docs/debugging.md#a-request-that-fails"


def test_run(live_server: StartServer):
    server = serve(live_server, PLAIN, debug=True)

    assert structured(server, RUN) == (
        500,
        GENERIC,
        {
            "stage": "run",
            "type": "ZeroDivisionError",
            "message": "division by zero",
            "frames": FRAMES,
            "input": {"data": {"text of 23 characters": {"secret_column": "int"}}},
            "hint": "run() failed in the last of these frames.",
            "docs": DOCS,
        },
    )


def test_encode(live_server: StartServer):
    server = serve(live_server, PLAIN, debug=True)

    status, message, error = structured(server, ENCODE)

    assert (status, message) == (500, GENERIC)
    problem = error.pop("message")
    assert problem.startswith("result.rows[1]: object of type object has no JSON form")
    assert error == {
        "stage": "encode",
        "type": "ResultNotEncodable",
        "frames": [],
        "input": {"data": {"text of 13 characters": "text of 11 characters"}},
        "hint": "Return values that JSON can hold: numbers, text, lists, dicts, arrays, "
        "data frames.",
        "docs": DOCS,
    }


def test_decode(live_server: StartServer):
    server = serve(live_server, PLAIN, debug=True)

    status, message, error = structured(server, DECODE)

    assert status == 400
    assert error == {
        "stage": "decode",
        "type": "UnusableBody",
        "message": message,
        "frames": [],
        "input": {},
        "hint": "run() does not accept this request. GET /docs shows one that works.",
        "docs": DOCS,
    }


def test_validate(live_server: StartServer):
    server = serve(live_server, TYPED, debug=True)

    status, message, error = structured(server, VALIDATE)

    assert status == 400
    assert "data" in message
    assert error == {
        "stage": "validate",
        "type": "UnusableParameter",
        "message": message,
        "frames": [],
        "input": {"data": "list of 1: list of 2: text of 4 characters"},
        "hint": "A value does not match its declaration. GET /docs shows a request that works.",
        "docs": DOCS,
    }


def test_every_frame_when_asked(live_server: StartServer):
    server = serve(live_server, PLAIN, debug=True)

    frames = server.post("/score?frames=all", **RUN).json()["error"]["frames"]

    assert {frame["whose"] for frame in frames} == {"scorehost", "user"}
    own = [{key: value for key, value in frame.items() if key != "whose"}
           for frame in frames if frame["whose"] == "user"]  # fmt: skip
    assert own == FRAMES
    assert frames[0]["file"].startswith("scorehost/")


def test_every_frame_is_marked_with_whose_it_is(live_server: StartServer):
    source = PLAIN.replace(
        'return divide(values["secret_column"], 0)',
        "import importlib\n    exec('values = json.loads(\"[\")')",
    )
    server = serve(live_server, source, debug=True)

    frames = server.post("/score?frames=all", **RUN).json()["error"]["frames"]
    page = server.post("/score?frames=all", **RUN, headers={"Accept": "text/html"}).text

    whose = {frame["file"]: frame["whose"] for frame in frames}
    assert whose["main.py"] == "user"
    assert whose["<string>"] == "exec"
    assert whose["json/decoder.py"] == "Python"
    assert whose["scorehost/scoring/pipeline.py"] == "scorehost"
    for file, mark in whose.items():
        assert re.search(
            rf"{re.escape(file).replace('<', '&lt;').replace('>', '&gt;')}:\d+ .*\({mark}\)", page
        )


def test_as_a_page(live_server: StartServer):
    server = serve(live_server, PLAIN.replace("division", "x"), debug=True)

    response = server.post(
        json={"secret_column": "<script>alert(1)</script>"}, headers={"Accept": "text/html,*/*"}
    )

    assert (response.status, response.content_type) == (500, "text/html")
    for part in ("TypeError", "helper.py:2 in divide()", "return left / right", "secret_column"):
        assert part in response.text
    assert "<script>alert" not in response.text


def test_a_hint_from_the_catalogue(live_server: StartServer):
    """The rules that explain a failed start explain a failed request as well."""
    source = PLAIN.replace("from helper import divide", "import numpy as np").replace(
        'return divide(values["secret_column"], 0)', "return np.float(3)"
    )
    server = serve(live_server, source, debug=True)

    assert "np.float" in server.post(**RUN).json()["error"]["hint"]


def test_a_deadline_and_a_death(own_server: StartServer):
    source = PLAIN.replace(
        "values = json.loads(data)",
        "values = json.loads(data)\n    import os, time\n"
        "    time.sleep(9) if values == 'slow' else os.abort() if values == 'dies' else None",
    )
    server = own_server(
        "", files={"main.py": source, "helper.py": HELPER},
        settings={"SCORING_TIMEOUT_MS": "500", "SCOREHOST_DEBUG": "1",
                  "SCOREHOST_DEBUG_PORT": str(free_port())},
    )  # fmt: skip

    slow = server.post(json="slow")
    server.wait_ready()
    dead = server.post(json="dies")

    assert (slow.status, slow.json()["error"]["type"]) == (504, "DeadlineExceeded")
    assert (dead.status, dead.json()["error"]["type"]) == (500, "WorkerLost")


def test_each_death_is_told_to_who_was_inside(own_server: StartServer):
    """The first one too, and never that of another."""
    source = PLAIN.replace("values = json.loads(data)", "import os\n    os._exit(json.loads(data))")
    server = serve(own_server, source, debug=True)

    for status in (7, 8):
        server.wait_ready()
        dead = server.post(json=status)

        error = dead.json()["error"]
        assert error["type"] == "WorkerLost"
        assert f"status {status}" in error["message"]
        assert error["id"] in error["message"]


# -- production -----------------------------------------------------------------------------

TELLTALE = re.compile(
    r"main\.py|helper|divide|ZeroDivision|division|secret_column|4711|rows|object|Traceback|line \d"
    r"|frames|hint|error|stage"
)


@pytest.mark.parametrize("request_", [RUN, ENCODE], ids=["run", "encode"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_production_tells_nothing_of_the_script(
    live_server: StartServer, request_: dict[str, Any], accept: str
):
    server = serve(live_server, PLAIN, debug=False)
    target = "/score?frames=all" if accept == "*/*" else "/score"

    response = server.post(target, **request_, headers={"Accept": accept})

    assert response.status == 500
    assert response.json() == {"message": GENERIC}
    assert not TELLTALE.search(response.text.replace(GENERIC, ""))
    head = "\n".join(f"{name}: {value}" for name, value in response.headers)
    assert not TELLTALE.search(re.sub(r"(?m)^(x-|TraceId).*$", "", head))


@pytest.mark.parametrize(
    ("source", "request_"),
    [(PLAIN, DECODE), (TYPED, VALIDATE), (TYPED, UNREADABLE)],
    ids=["decode", "validate", "unreadable"],
)
def test_production_tells_callers_only_the_contracts_400(
    live_server: StartServer, source: str, request_: dict[str, Any]
):
    server = serve(live_server, source, debug=False)

    response = server.post(**request_)

    assert response.status == 400
    assert list(response.json()) == ["message"]
    # What the caller sent is the caller's; where it failed, and in whose code, is not.
    leaked = re.compile(
        r"main\.py|helper|Traceback|File |line \d+,|inference_schema|numpy|frames|hint|stage"
    )
    assert not leaked.search(response.text)


def test_the_log_has_everything_under_the_id(live_server: StartServer):
    server = serve(live_server, PLAIN, debug=False)

    identity = server.post(**RUN).header("x-request-id")

    server.wait_for_line(f"[{identity}]", "run failed: ZeroDivisionError: division by zero")
    server.wait_for_line("helper.py:2 in divide()")


def test_the_page_that_errors_point_to_is_there():
    file, _, anchor = DOCS.partition("#")

    headings = re.findall(r"(?m)^#+ (.*)$", (ROOT / file).read_text("utf-8"))
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
