"""What anybody may be told, and what is for the log alone.

Without debug mode no answer holds what a script's exceptions say, its code, its output or its
environment, nor paths, processes or other clients' ids. A reference leads to all that in the log.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path

import pytest

from support.client import Address
from support.memory import MemoryServer
from support.server import LiveServer, StartServer, free_port
from support.wait import wait_until

SECRET = "correct-horse-battery-staple"
OTHERS_ID = "the-id-of-another-client"
ENVIRONMENT = {"DATABASE_PASSWORD": SECRET}

SCRIPT = """\
import json
import os
import time
from pathlib import Path

PASSWORD = os.environ["DATABASE_PASSWORD"]
HERE = Path(__file__).parent
Odd = type("Odd\\n" + "x" * 10_000, (Exception,), {})
Odd.__qualname__ = "Odd\\udcff\\n" + "x" * 10_000


class Described:
    @classmethod
    def model_json_schema(cls, **_):
        raise LookupError(PASSWORD)


AT_IMPORT


def init():
    print("connecting with", PASSWORD, flush=True)
    IN_INIT


def lines():
    yield "the first line"
    raise ValueError(PASSWORD)


def run(data: Described):
    print("asked with", PASSWORD, flush=True)
    what = json.loads(data)
    if what == "raise":
        raise KeyError(PASSWORD)
    if what == "odd":
        raise Odd(PASSWORD)
    if what == "encode":
        return {PASSWORD: object()}
    if what == "stream":
        return lines()
    if what == "abort":
        os.abort()
    if what == "late":
        while True:
            time.sleep(0.001)
    if what == "wait":
        (HERE / "begun").touch()
        while not (HERE / "go").exists():
            time.sleep(0.001)
    return "scored"
"""

FAILURES = {
    "a password": ("", "raise ValueError(f'no access with {PASSWORD}')", "ValueError"),
    "a path": ("raise ImportError(f'{HERE}/lib.so: {PASSWORD}')", "", "ImportError"),
    "a key": ("", "raise KeyError(PASSWORD)", "KeyError"),
    "a cause": ("", "raise OSError(PASSWORD) from ValueError(PASSWORD)", "OSError"),
    "a line of code": ("'" + SECRET, "", "SyntaxError"),
    "a model": (
        "", "from azureml.core.model import Model; Model.get_model_path(PASSWORD)", "ModelNotFound",
    ),
    "a class of an odd name": ("", "raise Odd(PASSWORD)", "main.Odd\\\\udcff\\\\nxxx"),
    "a crash": ("", "os.abort()", "SIGABRT"),
    "an exit": ("", "os._exit(7)", "status 7"),
}  # fmt: skip
"""What fails at import or in init(), and what may be told of it."""


def source(at_import: str = "", in_init: str = "") -> str:
    return SCRIPT.replace("AT_IMPORT", at_import).replace("IN_INIT", in_init or "pass")


def routes(folder: Path) -> list[str]:
    """Every path of the route table, with one below each pattern."""
    server = MemoryServer(folder / "table", workers=0)
    table = server.front.context.routes
    paths = [*table._exact, *(each + b"files/docs.css" for each in table._patterns), b"/nowhere"]
    server.close()
    return [path.decode() for path in paths]


def ask(address: Address, method: str, target: str, body: object = None, head: str = "") -> str:
    """Everything that is answered to one request, down to the last byte."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}"
    return ask_raw(address, f"{lines}Content-Length: {len(content)}\r\n\r\n".encode() + content)


def ask_raw(address: Address, data: bytes) -> str:
    found = b""
    with address.open(20.0) as connection:
        connection.sendall(data)
        try:
            while piece := connection.recv(1 << 16):
                found += piece
        except ConnectionResetError:
            pass  # as for a stream that is cut off
    return found.decode("latin-1")


def every_route(server: LiveServer, folder: Path, health: Address | None = None) -> list[str]:
    """What every route answers, on both ports, by every method."""
    return [
        ask(address, method, target)
        for address in (server.address, health)
        if address is not None
        for target in [*routes(folder), "/swagger.json?version=3.1", "/swagger.json?version=9"]
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE")
    ]


def assert_discreet(answers: list[str], server: LiveServer) -> None:
    """Nothing is in them that is for the log alone; and the log has what they refer to."""
    log = server.log
    for answer in answers:
        assert answer.startswith("HTTP/1.1 "), answer
        for secret in (SECRET, OTHERS_ID, str(server.folder), sys.prefix, "main.py:", "Traceback"):
            assert secret not in answer, answer
        assert not re.search(r"\bpid\b", answer), answer
        for reference in re.findall(r"reference (\w+)", answer):
            assert re.fullmatch(r"[0-9a-f]{8}", reference)
            assert reference in log
    assert SECRET in log


@pytest.fixture
def health() -> Address:
    return Address(port=free_port())


@pytest.fixture
def serving(own_server: StartServer, health: Address) -> LiveServer:
    """A server of a script that works, with little room and little time."""
    settings = {
        "HEALTH_PORT": str(health.port),
        "SCORING_TIMEOUT_MS": "1500",
        "SCOREHOST_MAX_QUEUE_LENGTH": "0",
        "SCOREHOST_MAX_BODY_BYTES": "1000",
    }
    return own_server("", files={"main.py": source()}, settings=ENVIRONMENT | settings)


# -- a start that fails -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAILURES)
def test_a_start_that_failed_is_told_by_its_class_and_a_reference(
    own_server: StartServer, tmp_path: Path, health: Address, kind: str
) -> None:
    at_import, in_init, told = FAILURES[kind]
    message = tmp_path / "termination"
    settings = {
        "HEALTH_PORT": str(health.port),
        "SCOREHOST_ON_INIT_FAILURE": "hold",
        "SCOREHOST_TERMINATION_LOG": str(message),
        "SCOREHOST_LOG_FORMAT": "json" if kind in ("a key", "a crash") else "text",
        "AZUREML_LOG_LEVEL": "CRITICAL" if kind == "a key" else "INFO",
        "WORKER_COUNT": "2" if kind == "a password" else "1",
    }
    files = {"main.py": source(at_import, in_init)}
    server = own_server("", files=files, settings=ENVIRONMENT | settings, wait="listening")
    wait_until(lambda: server.get("/readyz").json()["state"] == "failed", what="it has failed")

    answers = every_route(server, tmp_path, health)

    assert_discreet(answers, server)
    document = server.get("/readyz").json()
    assert {"state", "workers", "queue"} <= document.keys()
    failure = document["last_failure"]
    assert told in json.dumps(document)
    assert len(json.dumps(document)) < 2000
    refused = server.post(json=1)
    assert (refused.status, refused.header("Retry-After")) == (503, "2")
    assert failure["message"] in refused.message
    assert failure["message"].endswith(f"see the log, reference {failure['reference']}.")
    assert failure["reference"] in message.read_text()
    told_in = [line for line in server.log.splitlines() if failure["reference"] in line]
    assert told_in
    if settings["SCOREHOST_LOG_FORMAT"] == "json":
        assert json.loads(told_in[0])["report"]["reference"] == failure["reference"]


# -- a reload that fails ----------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--reload"]])
def test_a_reload_that_failed_is_told_by_its_class_and_a_reference(
    own_server: StartServer, tmp_path: Path, arguments: list[str]
) -> None:
    """``--reload`` is no debug mode."""
    server = own_server("", files={"main.py": source()}, settings=ENVIRONMENT, arguments=arguments)

    (server.folder / "main.py").write_text(source("", "raise ValueError(PASSWORD)"))
    if not arguments:
        server.send_signal(signal.SIGHUP)
    server.wait_for_line("the reload failed")

    assert_discreet(every_route(server, tmp_path), server)
    ready = server.get("/readyz")
    failure = ready.json()["last_failure"]
    assert ready.status == 200
    assert (failure["stage"], failure["error"]) == ("init()", "ValueError")
    assert server.lines("did not start", f"(reference {failure['reference']})")


# -- everything else --------------------------------------------------------------------------


def test_no_answer_tells_what_is_for_the_log(
    serving: LiveServer, tmp_path: Path, health: Address
) -> None:
    """Every route, and every error that a client can bring about, one after the other."""
    server, address = serving, serving.address
    answers = every_route(server, tmp_path, health)
    for what in ("raise", "odd", "encode", "stream", "late"):
        answers.append(ask(address, "POST", "/score", what))
    statuses = [int(each.split()[1]) for each in answers[-5:]]
    assert statuses == [500, 500, 500, 200, 504]
    wait_until(lambda: server.post(json=1).status == 200, what="the worker is free again")
    for head in ("x-request-id: " + "i" * 200, "Accept: text/html", "Expect: nonsense"):
        answers.append(ask(address, "POST", "/score", "raise", f"{head}\r\n"))
    answers.append(ask(address, "POST", "/score", "x" * 2000))
    answers.append(ask_raw(address, b"POST /score HTTP/1.1\r\nHost: x\r\n\r\n\xff"))
    answers.append(ask_raw(address, b"nonsense\r\n\r\n"))

    with server.connect() as other:  # somebody else's request fills the only worker
        other.send_request(
            "POST", "/score", headers=[("x-request-id", OTHERS_ID)], body=b'"wait"'
        )  # fmt: skip
        server.wait_for_file("begun")
        answers.append(ask(address, "POST", "/score", 1))
        assert answers[-1].startswith("HTTP/1.1 503 ")
        answers += every_route(server, tmp_path, health)
        server.make("go")
        other.read_response("POST")
    died = server.post(json="abort", headers={"x-request-id": OTHERS_ID})
    answers.append(died.text and f"HTTP/1.1 {died.status} {died.text}")
    server.wait_for_line("SIGABRT", OTHERS_ID)
    server.wait_ready()
    answers += every_route(server, tmp_path, health)

    assert_discreet(answers, server)
    end = server.get("/readyz").json()["last_worker_end"]
    assert end.startswith("The process was killed by SIGABRT (aborted); see the log, reference ")
    reference = end.rpartition(" ")[2].rstrip(".")
    assert server.lines("pid", "SIGABRT", OTHERS_ID, f"Reference {reference}.")
    for fact in ("KeyError", "connecting with", "asked with", "main.py:"):
        assert fact in server.log


def test_a_service_that_could_not_be_described_refers_to_the_log(serving: LiveServer) -> None:
    """The swagger documents are for everybody, and so are the pages made of them."""
    description = serving.get("/swagger.json").json()["info"]["description"]

    found = re.search(r"failed with LookupError; see the log, reference (\w{8})\.", description)
    assert found, description
    assert serving.lines(f"describing run() failed (reference {found[1]}): LookupError", SECRET)
