"""Whatever a script puts into an answer is an answer, or a 500 with the reason in the log."""

from __future__ import annotations

import orjson
import pytest

from scorehost.wire import answers
from scorehost.wire.messages import Failure
from support.memory import MemoryServer
from support.strange_answers import FIRST, FLASK, WHOLE, header

CASES = WHOLE | {f"first: {name}": case for name, case in FIRST.items()}


@pytest.fixture(params=["", "true"], ids=["production", "debug"])
def server(request: pytest.FixtureRequest, live_server) -> MemoryServer:
    settings = {"SCOREHOST_DEBUG": request.param} if request.param else {}
    started: MemoryServer = live_server("evaluates.py", settings=settings)
    return started


@pytest.mark.parametrize(("source", "status"), CASES.values(), ids=CASES.keys())
def test_an_answer_or_a_reason(server: MemoryServer, source: str, status: int) -> None:
    with server.connect() as connection:
        response = connection.request("POST", "/score", body=orjson.dumps(source))
        following = connection.request("POST", "/score", body=b'"40 + 2"')

    assert response.status == status
    assert following.body == b"42"
    assert server.workers[0].handle.kill_reason == ""
    for name, value in response.headers:
        assert name.isascii()
        assert not set(name + value) & set("\r\n\0")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (header("'X-A'", "'\\ud800'"), "result.headers['X-A']: the value has '\\ud800' at 0"),
        (header("''", "'a'"), "result.headers['']: the name of a header is one word"),
        (header("'X-A'", "'a\\0b'"), "the value has '\\x00' at 1"),
        (header("'X-A'", "'a' * (1 << 21)"), "at most 1048576 are sent"),
        (f"{FLASK}result = Response(iter([5]))", "result.response: a body is made of bytes or"),
        ("raise ValueError('\\ud800')", "ValueError: \\ud800"),
    ],
)
def test_the_reason_is_in_the_log(server: MemoryServer, source: str, reason: str) -> None:
    response = server.post(json=source)

    assert response.status == 500
    assert server.wait_for_line("failed: ", reason)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_what_has_no_content_has_none(live_server, status: int) -> None:
    """RFC 9110: a 205 says so by its length, the others by their status."""
    server = live_server("evaluates.py")

    response = server.post(json=f"{FLASK}result = Response('x', {status})")

    assert (response.status, response.body) == (status, b"")
    assert response.header("Content-Length") == ("0" if status == 205 else None)


@pytest.mark.parametrize(
    "detail",
    [
        {"a": "\ud800"}, {"\ud800": 1}, {"a": [("\udfff", {1: "\ud800"})]}, {"a": object()},
        {"a": {"b": 1 << 70, "c": "\ud800"}}, {"a": "x" * (17 << 20)},
    ],
)  # fmt: skip
def test_a_failure_can_always_be_told(detail: dict[str, object]) -> None:
    failure = Failure(500, "run", "\ud800", log="\ud800" * 10, error_type="E", detail=detail)

    (frame,) = answers.AnswerReader().feed(answers.pack_outcome(1, failure))

    told = answers.unpack_failure(frame)
    assert (told.message, told.log) == ("\\ud800", "\\ud800" * 10)
    assert len(frame.meta) <= answers.LARGEST_META
