"""How init() and run() are called, and with what."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from support.server import LiveServer, StartServer
from support.wait import wait_until

# -- init() -------------------------------------------------------------------------------


def _init_log(server: LiveServer) -> list[str]:
    return (server.folder / "init.log").read_text().split()


def _pids(server: LiveServer, requests: int = 40) -> set[int]:
    """The processes that answer when several requests come at once."""
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(server.score, range(requests)))
    return {answer["pid"] for answer in answers}


def _wait_for_two(server: LiveServer) -> set[int]:
    """The processes that answer, once there are two of them."""
    seen: set[int] = set()

    def two() -> bool:
        seen.update(_pids(server))
        return len(seen) == 2

    wait_until(two, what="two processes score")
    return seen


def test_init_runs_once_in_each_worker(own_server: StartServer) -> None:
    server = own_server("counts_init.py", arguments=("--workers", "2"))
    wait_until(lambda: len(_init_log(server)) == 2, what="both workers ran init()")

    pids = _wait_for_two(server)

    assert sorted(_init_log(server)) == sorted(str(pid) for pid in pids)


def test_init_runs_once_in_all_with_preload(own_server: StartServer) -> None:
    settings = {"WORKER_PRELOAD": "true", "WORKER_COUNT": "2"}
    server = own_server("counts_init.py", settings=settings)

    pids = _wait_for_two(server)

    assert len(_init_log(server)) == 1
    assert int(_init_log(server)[0]) not in pids


def test_an_init_that_wants_an_argument_is_a_load_error(own_server: StartServer) -> None:
    server = own_server("init_takes_data.py", wait="")

    assert server.wait_exit() == 3
    assert "init(model)" in server.log


# -- run(): one at a time, on the main thread ---------------------------------------------


def test_run_is_called_one_at_a_time_on_the_main_thread(live_server: StartServer) -> None:
    server = live_server("counts_init.py")

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(server.score, range(40)))

    assert {answer["most"] for answer in answers} == {1}
    assert all(answer["main_thread"] for answer in answers)


def test_run_may_be_a_coroutine(live_server: StartServer) -> None:
    server = live_server("asynchronous.py")

    assert server.score([1, 2]) == {"awaited": [1, 2]}
    assert server.post(json="raise").status == 500
    assert server.score("again") == {"awaited": "again"}


# -- undecorated --------------------------------------------------------------------------


@pytest.mark.parametrize("body", ['{"data": [1, 2]}', "no JSON at all", "", "Grüße, 世界 🎉", "\0"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
def test_post_gives_run_the_body_as_text(
    live_server: StartServer, body: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    response = live_server("raw_text.py").post(body=body.encode(), headers=headers)

    assert response.status == 200
    assert response.json() == body


@pytest.mark.parametrize("body", [b"\xff", b"ok \xc3", b"\xed\xa0\x80", "ü".encode("latin-1")])
def test_a_body_that_is_not_utf8_is_the_callers_fault(
    live_server: StartServer, body: bytes
) -> None:
    response = live_server("raw_text.py").post(body=body)

    assert response.status == 400
    assert "UTF-8" in response.message


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("?", {}),
        ("?a=1", {"a": 1}),
        ("?a=1&b=[1,2]&c=text&d=null", {"a": 1, "b": [1, 2], "c": "text", "d": None}),
        ("?a=1&a=two&a=3.5", {"a": [1, "two", 3.5]}),
        ('?a={"b":%20true}', {"a": {"b": True}}),
        ("?a=%22quoted%22", {"a": "quoted"}),
        ("?a=one+two%20three", {"a": "one two three"}),
        ("?a=%C3%A9&%C3%BC=1", {"a": "é", "ü": 1}),
        ("?a=&b", {"a": "", "b": ""}),
        ("?a=1=2", {"a": "1=2"}),
        ("?a=%zz", {"a": "%zz"}),
    ],
)
def test_get_gives_run_the_query_as_json(
    live_server: StartServer, query: str, expected: dict[str, Any]
) -> None:
    answer = live_server("raw_text.py").get(f"/score{query}").json()

    assert isinstance(answer, str)
    assert json.loads(answer) == expected


# -- decorated with inference-schema ------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": [[1, 2]], "factor": 3}, [9.0]),
        ({"data": [[1, 2], [3, 4]]}, [6.0, 14.0]),
        ({"data": [[1, 2]], "unknown": 1}, [6.0]),
    ],
)
def test_decorated_run_gets_keyword_values(
    live_server: StartServer, body: Any, expected: Any
) -> None:
    assert live_server("typed.py").score(body) == expected


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json "]
)
def test_decorated_run_takes_json_by_any_spelling(
    live_server: StartServer, content_type: str
) -> None:
    server = live_server("typed.py")

    response = server.post(body=b'{"data": [[1, 2]]}', headers={"Content-Type": content_type})

    assert (response.status, response.json()) == (200, [6.0])


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/xml", "json", ""])
def test_decorated_run_takes_nothing_but_json(
    live_server: StartServer, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    response = live_server("typed.py").post(body=b'{"data": [[1, 2]]}', headers=headers)

    assert response.status == 415
    assert "application/json" in response.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{not json", "JSON"),
        (b"", "empty"),
        (b"[[1, 2]]", "object"),
        (b'"text"', "object"),
        (b"null", "object"),
        (b"{}", "data"),
        (b'{"factor": 2}', "data"),
        (b'{"data": [[1, 2]]', "JSON"),
        (b"\xff\xfe", ""),
    ],
)
def test_decorated_run_refuses_what_is_no_object_of_its_parameters(
    live_server: StartServer, body: bytes, said: str
) -> None:
    headers = {"Content-Type": "application/json"}

    response = live_server("typed.py").post(body=body, headers=headers)

    assert response.status == 400
    assert said.lower() in response.message.lower()


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"data": [[1, 2, 3]]}, "data"),
        ({"data": "no array"}, "data"),
        ({"data": [[1], [2, 3]]}, "data"),
        ({"data": [[1, 2]], "factor": "much"}, "factor"),
    ],
)
def test_a_value_of_the_wrong_type_or_shape_is_the_callers_fault(
    live_server: StartServer, body: Any, parameter: str
) -> None:
    response = live_server("typed.py").post(json=body)

    assert response.status == 400
    assert parameter in response.message


def test_decorated_run_takes_values_from_a_query(live_server: StartServer) -> None:
    response = live_server("typed.py").get("/score?data=[[1,2]]&factor=3.0")

    assert (response.status, response.json()) == (200, [9.0])


# -- request_headers ----------------------------------------------------------------------


def test_request_headers_is_a_dict_of_the_headers(live_server: StartServer) -> None:
    """Under the names that Flask's dict of headers has, however they were sent."""
    headers = {"x-custom": "a, b", "AUTHORIZATION": "Bearer 1", "Content-Type": "text/plain"}

    seen = live_server("headers.py").post(body=b"x", headers=headers).json()

    assert seen["X-Custom"] == "a, b"
    assert seen["Authorization"] == "Bearer 1"
    assert seen["Content-Type"] == "text/plain"
    assert seen["Content-Length"] == "1"
    assert seen["Host"] == "test"


def test_request_headers_that_repeat_are_joined(live_server: StartServer) -> None:
    headers = [("X-Custom", "a"), ("x-custom", "b")]

    seen = live_server("headers.py").post(body=b"x", headers=headers).json()

    assert [part.strip() for part in seen["X-Custom"].split(",")] == ["a", "b"]


def test_request_headers_come_with_get_too(live_server: StartServer) -> None:
    seen = live_server("headers.py").get("/score", headers={"X-Custom": "g"}).json()

    assert seen["X-Custom"] == "g"


def test_request_headers_work_beside_decorated_parameters(live_server: StartServer) -> None:
    server = live_server("typed.py")

    assert server.score({"data": [[1, 2]]}, headers={"X-Show": "shown"}) == "shown"


# -- signatures that can't be called ------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("takes_args.py", "*args"),
        ("takes_kwargs.py", "**kwargs"),
        ("takes_positional.py", "positional-only"),
        ("takes_nothing.py", "run()"),
        ("takes_headers_only.py", "request_headers"),
    ],
)
def test_a_run_that_cannot_be_called_is_a_load_error(
    own_server: StartServer, script: str, said: str
) -> None:
    server = own_server(script, wait="")

    assert server.wait_exit() == 3
    assert said in server.log
    assert "signature" in server.log


def test_raw_and_typed_at_once_is_a_load_error(own_server: StartServer) -> None:
    server = own_server("raw_and_typed.py", wait="")

    assert server.wait_exit() == 3
    assert "rawhttp" in server.log
    assert "input_schema" in server.log


# -- generated wrappers -------------------------------------------------------------------

WRAPPED = """
events = []
def init():
    events.append("init() of the script")
def run(data):
    return {"events": events, "data": data}
"""


def test_a_wrapper_gives_its_init_and_the_run_of_its_driver_module(
    live_server: StartServer,
) -> None:
    server = live_server("driver.py", files={"wrapped.py": WRAPPED})

    response = server.post(body=b"x")

    assert response.json() == {
        "events": ["init() of the script", "init() of the wrapper"],
        "data": "x",
    }


def test_the_run_of_a_driver_module_keeps_its_decorators(live_server: StartServer) -> None:
    """The wrapper's run() would lose them; its signature is not the one that counts."""
    source = "\n".join(
        [
            "from azureml.contrib.services.aml_request import rawhttp",
            "events = []",
            "def init(): pass",
            "@rawhttp",
            "def run(request): return request.method",
        ]
    )
    server = live_server("driver.py", files={"wrapped.py": source})

    assert server.request("PATCH", "/score", body=b"").json() == "PATCH"
