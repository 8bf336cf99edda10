"""How init() and run() are called, and with what."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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


# -- request_headers ----------------------------------------------------------------------


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
