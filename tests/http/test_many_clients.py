"""Many clients at once that pipeline, chunk, leave and come again.

Every answer has to be the one to its own request: the right status, the right id, the right
token in the body, in the right order, whatever happens to the others.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from support.client import Connection, ConnectionEnded, Response, chunked, request_bytes
from support.server import LiveServer, StartServer

CLIENTS = 8
CONNECTIONS = 30

PEACEFUL = ("echo", "echo", "echo", "sleep", "raise", "large", "stream")
DEADLY = (*PEACEFUL * 6, "die", "late")

EXPECTED = {
    "echo": {200},
    "sleep": {200},
    "large": {200},
    "stream": {200},
    "raise": {500},
    "die": {500},
    "late": {504},
}


@dataclass(frozen=True)
class Question:
    """One request and what its answer has to hold."""

    token: str
    how: str
    has_id: bool
    data: bytes

    @classmethod
    def invent(cls, dice: random.Random, token: str, ways: tuple[str, ...]) -> Question:
        how, has_id = dice.choice(ways), dice.random() < 0.5
        padding = "p" * dice.choice([0, 10, 1000, 60_000])
        body = json.dumps({"how": how, "token": token, "padding": padding}).encode()
        headers = [("x-request-id", token)] if has_id else []
        if dice.random() < 0.2:
            headers.append(("Transfer-Encoding", "chunked"))
            body = chunked(body[:9], body[9:])
        data = request_bytes("POST", "/score", headers=headers, body=body)
        return cls(token, how, has_id, data)

    def check(self, answer: Response) -> None:
        """The answer is ours; a server without a worker may say 503 instead, a slow one 504."""
        if self.has_id:
            assert answer.header("x-request-id") == self.token
        if answer.status == 503:
            assert answer.header("Retry-After")
            return
        assert answer.status in EXPECTED[self.how] | {504}
        if self.how == "stream":
            assert answer.body == f"{self.token}\n".encode() * 50
        elif answer.status == 200:
            assert answer.json()["token"] == self.token
        else:
            assert self.token not in answer.message


@dataclass
class Client:
    """One client with its own dice; it counts what was answered how."""

    server: LiveServer
    number: int
    ways: tuple[str, ...]
    seen: Counter[str] = field(default_factory=Counter)

    def run(self) -> Counter[str]:
        """Come again and again."""
        dice = random.Random(self.number)
        for visit in range(CONNECTIONS):
            # Only a worker that dies in a stream may cut a connection.
            with suppress(*([ConnectionEnded] if "die" in self.ways else [])):
                self._visit(dice, f"c{self.number}-{visit}")
        return self.seen

    def _visit(self, dice: random.Random, name: str) -> None:
        """One connection: a few batches of requests, and perhaps a sudden end."""
        with Connection(self.server.address) as connection:
            for batch in range(dice.randint(1, 5)):
                count = dice.choice([1, 1, 1, 2, 5])
                tokens = [f"{name}-{batch}-{number}" for number in range(count)]
                questions = [Question.invent(dice, token, self.ways) for token in tokens]
                connection.send(b"".join(question.data for question in questions))
                if dice.random() < 0.1:
                    leave = dice.choice([Connection.reset, Connection.close])
                    leave(connection)
                    return
                for question in questions:
                    answer = connection.read_response()
                    question.check(answer)
                    self.seen[f"{question.how} {answer.status}"] += 1


def _crowd(server: LiveServer, ways: tuple[str, ...]) -> Counter[str]:
    """All clients at once; what was answered how."""
    clients = [Client(server, number, ways) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as threads:
        return sum(threads.map(Client.run, clients), Counter[str]())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"WORKER_COUNT": "2"},
        {"WORKER_COUNT": "2", "WORKER_PRELOAD": "true"},
        {"WORKER_COUNT": "2", "SCOREHOST_MAX_REQUESTS": "40"},
    ],
    ids=["one worker", "two workers", "preloaded", "recycled"],
)
def test_everybody_gets_the_answer_to_the_own_request(
    own_server: StartServer, settings: dict[str, str]
) -> None:
    server = own_server("unruly.py", settings={"SCOREHOST_MAX_QUEUE_LENGTH": "1000"} | settings)

    seen = _crowd(server, PEACEFUL)

    assert set(seen) == {f"{how} {status}" for how in set(PEACEFUL) for status in EXPECTED[how]}
    assert sum(seen.values()) > 500
    assert server.score({"how": "echo", "token": "last"}) == {"token": "last"}


def test_workers_that_die_or_hang_mix_nothing_up(own_server: StartServer) -> None:
    settings = {
        "WORKER_COUNT": "2",
        "SCORING_TIMEOUT_MS": "500",
        "SCOREHOST_INTERRUPT_GRACE": "0.2",
        "SCOREHOST_MAX_QUEUE_LENGTH": "1000",
    }
    server = own_server("unruly.py", settings=settings)

    seen = _crowd(server, DEADLY)

    assert {"die 500", "late 504", "echo 200"} <= set(seen)
    assert server.wait_ready().score({"how": "echo", "token": "last"}) == {"token": "last"}
