"""A stream whose client does not read it: who waits for that client, and who does not."""

from __future__ import annotations

import pytest

from scorehost.wire import answers
from scorehost.wire.answers import pack_frame, pack_outcome
from scorehost.wire.messages import Answer
from support.memory import MemoryConnection, MemoryServer, MemoryWorker

CHUNK = b"x" * 100_000
"""More than asyncio keeps for a client before it calls a halt; with all else still one read."""
BEGIN = pack_frame(answers.STREAM_BEGIN, 1, meta=b'["text/plain", []]')
BEGUN = BEGIN + pack_frame(answers.STREAM_CHUNK, 1, CHUNK)
END = pack_frame(answers.STREAM_END, 1)


def ask(server: MemoryServer, room: int | None = None) -> MemoryConnection:
    client = server.connect()
    if room is not None:
        client.transport.room = room
    client.send_request("POST", "/score", body=b"[1]")
    server.run()
    return client


def stream_to_one_that_does_not_read(
    server: MemoryServer, frames: bytes
) -> tuple[MemoryWorker, MemoryConnection]:
    (worker,) = server.workers
    client = ask(server, room=0)
    assert worker.next() is not None
    worker.send(frames)
    server.run()
    assert not client.transport._protocol.writable
    return worker, client


def take_all(server: MemoryServer, client: MemoryConnection) -> None:
    client.transport.room = 1 << 20
    client.transport.take(0)
    server.run()


def answers_another(server: MemoryServer, worker: MemoryWorker) -> bool:
    """Whether the worker's answer to somebody else arrives."""
    another = ask(server)
    assert worker.next() is not None
    worker.send(pack_outcome(2, Answer(b"[2]")))
    server.run()
    return another.read_response().json() == [2]


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_a_worker_is_heard_after_a_stream_whose_end_came_with_its_last_chunk(
    own_server, leaves: bool
) -> None:
    server = own_server("")
    worker, client = stream_to_one_that_does_not_read(server, BEGUN + END)
    if leaves:
        client.transport.vanish()
        server.run()

    assert answers_another(server, worker)


def test_a_worker_is_heard_a_second_after_a_stream_whose_end_came_later(own_server) -> None:
    server = own_server("")
    worker, client = stream_to_one_that_does_not_read(server, BEGUN)
    worker.shared.end()
    worker.send(END)
    server.run()
    assert worker.handle.in_flight, "the end has not been read"

    server.pass_by(1.5)

    assert answers_another(server, worker)
    take_all(server, client)
    assert client.read_response().body == CHUNK


def test_while_a_stream_goes_on_its_worker_waits_for_the_client(own_server) -> None:
    server = own_server("")
    worker, client = stream_to_one_that_does_not_read(server, BEGUN)
    worker.send(pack_frame(answers.STREAM_CHUNK, 1, b"more"))
    server.pass_by(5)
    kept = client.transport.get_write_buffer_size()

    take_all(server, client)
    worker.shared.end()
    worker.send(END)
    server.run()

    assert len(CHUNK) < kept < len(CHUNK) + 1000, "the second chunk was not read"
    assert client.read_response().body == CHUNK + b"more"


def test_all_that_is_kept_of_a_stream_counts(own_server) -> None:
    """Also what was written after the transport had called a halt."""
    chunks = pack_frame(answers.STREAM_CHUNK, 1, b"x" * 1000) * 180
    server = own_server("")

    _, client = stream_to_one_that_does_not_read(server, BEGIN + chunks + END)

    assert server.front.context.untaken.held == client.transport.get_write_buffer_size() > 180_000
