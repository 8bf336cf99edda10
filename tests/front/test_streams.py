"""A stream, its client and its worker: none of them holds up the others."""

from __future__ import annotations

import pytest

from scorehost.wire import answers
from scorehost.wire.answers import pack_frame, pack_outcome
from scorehost.wire.messages import Answer
from support.memory import MemoryConnection, MemoryServer, MemoryWorker

LARGE_CHUNK = b"x" * 3_000_000


def ask(server: MemoryServer) -> MemoryConnection:
    client = server.connect()
    client.send_request("POST", "/score", body=b"[1]")
    server.run()
    return client


def stream_to_one_that_does_not_read(server: MemoryServer) -> tuple[MemoryWorker, MemoryConnection]:
    """Send a whole stream in one piece, so that its end is read with its last chunk."""
    (worker,) = server.workers
    client = ask(server)
    assert worker.next() is not None
    begin = pack_frame(answers.STREAM_BEGIN, 1, meta=b'["text/plain", []]')
    chunk = pack_frame(answers.STREAM_CHUNK, 1, LARGE_CHUNK)
    worker.send(begin + chunk + pack_frame(answers.STREAM_END, 1))
    server.run()
    return worker, client


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_a_worker_is_heard_after_a_stream_that_its_client_has_not_taken(
    own_server, leaves: bool
) -> None:
    """Reading was paused for that client's sake, and nobody else would let it go on."""
    server = own_server("")
    worker, client = stream_to_one_that_does_not_read(server)
    if leaves:
        client.transport.vanish()
        server.run()

    another = ask(server)
    assert worker.next() is not None
    worker.send(pack_outcome(2, Answer(b"[2]")))
    server.run()

    assert another.read_response().json() == [2]


def test_a_client_that_was_slow_gets_the_whole_stream(own_server) -> None:
    server = own_server("")
    _worker, client = stream_to_one_that_does_not_read(server)

    assert client.read_response().body == LARGE_CHUNK
