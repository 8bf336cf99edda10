"""Responses as values, the hooks of observers, and results in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from scorehost.errors import MethodNotAllowed, NotReady, Overloaded, RequestError
from scorehost.front.features import Features
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.responses import Renderer, Response, sent_bytes
from scorehost.front.observe.observer import Observer
from scorehost.wire import answers
from scorehost.wire.answers import LARGE
from scorehost.wire.messages import Answer, Failure, OwnAnswer
from support.client import request_bytes
from support.front_parts import exchange
from support.memory import MemoryServer

POST = request_bytes("POST", "/score", body=b"[1]")


class Watching(Observer):
    """Notes every hook."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def script_failed(self, exchange: Exchange, detail: dict[str, Any]) -> None:
        self.seen.append(("script_failed", detail["type"]))

    def replying(self, exchange: Exchange, response: Response) -> None:
        self.seen.append(("replying", (response.status, len(response.body))))

    def streaming(self, exchange: Exchange, response: Response) -> None:
        self.seen.append(("streaming", response.content_type))

    def ending(self, exchange: Exchange) -> None:
        self.seen.append(("ending", (exchange.status, exchange.body)))

    def finished(self, exchanges: Sequence[Exchange]) -> None:
        self.seen.append(("finished", len(exchanges)))


class Failing(Observer):
    """Raises in every hook that the path has."""

    def breaks(self, *_: object) -> None:
        raise RuntimeError("a feature broke")

    replying = ending = finished = breaks


class Watched(Features):
    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def observers(self) -> Sequence[Observer]:
        return self._observers


# -- rendering ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "response", "sent"),
    [
        ({}, Response(200, b"[1]"), 3),
        ({"head_only": True}, Response(200, b"[1]"), 0),
        ({}, Response(204, b"[1]"), 0),
        ({}, Response(304, b"[1]"), 0),
        ({}, Response(500, b"[1]"), 3),
    ],
)
def test_rendering_changes_nothing(fields: dict[str, Any], response: Response, sent: int):
    made = exchange(**fields)
    before = {name: getattr(made, name) for name in dir(made) if not name.startswith("_")}

    data = Renderer((), "v").render(made, response)

    assert sent_bytes(made, response) == sent
    assert data.endswith(b"[1]") == (sent > 0)
    assert (b"Content-Length: 3" in data) == (response.status not in (204, 304))
    assert {name: getattr(made, name) for name in before if not callable(before[name])} == {
        name: value for name, value in before.items() if not callable(value)
    }


@pytest.mark.parametrize(
    ("error", "headers", "document"),
    [
        (RequestError("no"), [], {"message": "no"}),
        (MethodNotAllowed("no", ("GET", "HEAD")), [("Allow", "GET, HEAD")], {"message": "no"}),
        (Overloaded("no", 2.2, limit=5), [("Retry-After", "3")], {"message": "no", "limit": 5}),
        (Overloaded("no", 0.01), [("Retry-After", "1")], {"message": "no"}),
        (NotReady("no", 2.0, {"state": "starting"}), [("Retry-After", "2")],
         {"message": "no", "state": "starting"}),
    ],
)  # fmt: skip
def test_errors_know_their_headers_and_their_document(
    error: RequestError, headers: list[tuple[str, str]], document: dict[str, Any]
):
    assert error.headers() == headers
    assert error.document() == document


# -- observers ------------------------------------------------------------------------------


@pytest.fixture
def watched(own_server) -> tuple[MemoryServer, Watching]:
    watching = Watching()
    return own_server("", features=Watched(watching)), watching


def asked(server: MemoryServer, frame: bytes, number: int = 1) -> Any:
    """Ask, answer with these frames, and return the client."""
    client = server.connect()
    client.send(POST)
    server.workers[0].next()
    server.workers[0].send(frame)
    server.run()
    return client


def test_hooks_of_a_response(watched: tuple[MemoryServer, Watching]):
    server, watching = watched
    client = asked(server, answers.pack_outcome(1, Answer(b"[385.0]", run_ns=5000)))

    assert client.read_response().body == b"[385.0]"
    server.pass_by(0.1)
    assert watching.seen == [
        ("replying", (200, 7)), ("ending", (200, b"[1]")), ("finished", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [LARGE - 1, LARGE, LARGE + 1, 3 * LARGE])
def test_hooks_see_a_large_response_whole(watched: tuple[MemoryServer, Watching], size: int):
    server, watching = watched
    client = asked(server, answers.pack_outcome(1, Answer(b"x" * size)))

    assert len(client.read_response().body) == size
    assert watching.seen[:2] == [("replying", (200, size)), ("ending", (200, b"[1]"))]


def test_hooks_of_a_failure_and_of_a_stream(watched: tuple[MemoryServer, Watching]):
    server, watching = watched
    failure = Failure(500, "run", "secret-free", detail={"type": "ValueError"})
    asked(server, answers.pack_outcome(1, failure))
    stream = answers.pack_frame(answers.STREAM_BEGIN, 2, meta=b'["text/plain", []]')
    client = asked(
        server,
        stream
        + answers.pack_frame(answers.STREAM_CHUNK, 2, b"one")
        + answers.pack_frame(answers.STREAM_END, 2),
    )

    assert client.read_response().chunks == (b"one",)
    assert [name for name, _ in watching.seen] == [
        "script_failed", "replying", "ending", "streaming", "ending",
    ]  # fmt: skip


def test_a_feature_that_raises_is_logged_and_the_client_is_answered(own_server):
    server = own_server("echo.py", features=Watched(Failing()))

    assert server.score([1]) == [1]
    server.pass_by(0.1)
    assert len(server.lines("Failing failed: RuntimeError('a feature broke')")) == 3


def test_hooks_that_nobody_has_cost_no_call(own_server):
    replies = own_server("echo.py").front.replies

    assert replies._replying is None
    assert replies._ending is None


# -- results --------------------------------------------------------------------------------


def test_frames_of_an_unknown_number_end_the_worker(own_server):
    server = own_server("")
    killed: list[str] = []
    server.workers[0].handle.kill = killed.append

    asked(server, answers.pack_outcome(7, Answer(b"1")))

    assert killed == ["garbled"]
    assert server.wait_for_line("answered request number 7, which it is not handling")


def test_several_answers_in_one_read_go_to_their_clients(own_server):
    """By number, whatever the order of the frames."""
    server = own_server("")
    (worker,) = server.workers
    worker.handle.depth = 3
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.send(POST)
    while worker.next():
        pass
    for number in (2, 1, 3):
        worker.send(answers.pack_outcome(number, Answer(b"%d" % number)))
    server.run()

    assert [client.read_response().body for client in clients] == [b"1", b"2", b"3"]


def test_a_script_cannot_write_headers_of_its_own_into_a_value(own_server):
    own = OwnAnswer(
        b"", 0, status=200, headers=[("X-A", "1\r\nSet-Cookie: x")], content_type="text/plain",
        run_function_failed=False,
    )  # fmt: skip
    client = asked(own_server(""), answers.pack_outcome(1, own))

    answer = client.read_response()
    assert answer.header("X-A") == "1  Set-Cookie: x"
    assert answer.header("Set-Cookie") is None
