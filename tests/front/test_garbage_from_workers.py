"""What comes from a worker and cannot be an answer ends that worker at once, with the reason.

A script, or a native library in its process, may write to any descriptor, also to the socket on
which its worker answers.
"""

from __future__ import annotations

import struct

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.roster import Member
from scorehost.wire import answers
from scorehost.wire.answers import LARGE, AnswerFrame, AnswerReader, pack_frame, pack_outcome
from scorehost.wire.messages import Answer, Failure
from support.memory import MemoryConnection, MemoryServer, MemoryWorker

OWN = answers.OWN_RESPONSE | answers.RUN_RETURNED
META = b'["text/plain", []]'
FAILED = b'["run", "ValueError", "m", "l", {}]'
BEGIN = pack_frame(answers.STREAM_BEGIN, 1, meta=META)


def prefix(kind: int, meta: int, body: int, number: int = 1) -> bytes:
    return struct.pack("<BBHIQQQ", kind, 0, 200, meta, body, number, 0)


GARBAGE = {
    "text": (b"a library says hello\n", "the unknown kind 97 (61 20 6c 69"),
    "a byte": (b"\xff", "the unknown kind 255 (ff)"),
    "zeros": (bytes(64), "answered request number 0, which it is not handling (00 00"),
    "another number": (pack_outcome(7, Answer(b"1")), "answered request number 7"),
    "an unknown kind": (pack_frame(77, 1), "the unknown kind 77"),
    "an endless body": (prefix(answers.ANSWER, 0, 1 << 63), "a frame of 0 and 9223372036854775808"),
    "an endless head": (prefix(answers.ANSWER, (1 << 32) - 1, 0), "a frame of 4294967295 and 0"),
    "a large text": (b"x" * (LARGE + 7), "the unknown kind 120"),
    "no JSON": (pack_frame(answers.ANSWER, 1, flags=OWN, meta=b"{no"), "that is not JSON"),
    "no headers": (pack_frame(answers.ANSWER, 1, flags=OWN, meta=b'["a"]'), "without content type"),
    "no meta": (pack_frame(answers.ANSWER, 1, flags=OWN), "without content type"),
    "half a header": (
        pack_frame(answers.ANSWER, 1, flags=OWN, meta=b'["a", [["b"]]]'), "not a pair of strings",
    ),
    "status 0": (pack_frame(answers.ANSWER, 1, flags=OWN, meta=META, status=0), "the status 0"),
    "status 101": (pack_frame(answers.ANSWER, 1, flags=OWN, meta=META, status=101), "status 101"),
    "status 65535": (
        pack_frame(answers.STREAM_BEGIN, 1, meta=META, status=65535), "the status 65535",
    ),
    "a failure of 200": (pack_frame(answers.FAILURE, 1, meta=FAILED), "the status 200"),
    "half a failure": (
        pack_frame(answers.FAILURE, 1, meta=b'["run"]', status=500), "is incomplete or malformed",
    ),
    "a lone chunk": (pack_frame(answers.STREAM_CHUNK, 1, b"x"), "a part of a stream"),
    "a lone end": (pack_frame(answers.STREAM_END, 1), "a part of a stream"),
}  # fmt: skip
IN_A_STREAM = {
    "a second begin": (BEGIN, "began a stream for the second time"),
    "a whole answer": (pack_outcome(1, Answer(b"1")), "a whole answer in the middle of a stream"),
    "a failure": (
        pack_outcome(1, Failure(500, "run", "m")), "a whole answer in the middle of a stream",
    ),
    "text": (b"hello", "the unknown kind 104"),
}  # fmt: skip


def inside(server: MemoryServer) -> tuple[MemoryWorker, MemoryConnection]:
    """A worker, and the client whose request is inside it."""
    (worker,) = server.workers
    server.front.pool._listener = server.front.supervision
    client = server.connect()
    client.send_request("POST", "/score", body=b"[1]")
    server.run()
    assert worker.next() is not None
    return worker, client


def dies(server: MemoryServer, worker: MemoryWorker) -> None:
    """The process of a worker that was killed ends."""
    worker.handle.member.ready_at = 1.0
    server.loop.remove_reader(worker.handle.answers.fileno())
    worker.handle.returncode = -9
    server.front.pool.process_ended(worker.handle)
    server.run()


@pytest.mark.parametrize(("data", "reason"), GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_ends_the_worker_at_once(own_server, data: bytes, reason: str) -> None:
    server = own_server("")
    worker, client = inside(server)

    worker.send(data)
    server.run()

    assert worker.handle.kill_reason == "garbled"
    line = server.wait_for_line("something else wrote to its socket", reason)
    assert "worker 1 (pid 0)" in line
    dies(server, worker)
    assert client.read_response().status == 500
    assert server.wait_for_line("on which it answers")
    assert server.lines("Traceback") == []


@pytest.mark.parametrize(("data", "reason"), IN_A_STREAM.values(), ids=IN_A_STREAM.keys())
def test_garbage_in_a_stream_cuts_it_off(own_server, data: bytes, reason: str) -> None:
    server = own_server("")
    worker, client = inside(server)
    worker.send(BEGIN + pack_frame(answers.STREAM_CHUNK, 1, b"one"))
    server.run()

    worker.send(data)
    server.run()

    assert worker.handle.kill_reason == "garbled"
    assert server.wait_for_line("something else wrote to its socket", reason)
    dies(server, worker)
    assert client.transport.ended == "reset"


def test_nothing_counts_after_garbage(own_server) -> None:
    """Not even what looks right, and the log has one line of it."""
    server = own_server("")
    worker, client = inside(server)

    worker.send(b"garbage")
    worker.send(pack_outcome(1, Answer(b"1")))
    server.run()
    worker.send(pack_outcome(1, Answer(b"1")) + b"garbage")
    server.run()

    assert len(server.lines("something else wrote to its socket")) == 1
    dies(server, worker)
    assert client.read_response().status == 500


def test_what_came_before_garbage_counts(own_server) -> None:
    server = own_server("")
    worker, client = inside(server)

    worker.send(pack_outcome(1, Answer(b"[2]")) + b"garbage")
    server.run()

    assert client.read_response().body == b"[2]"
    assert worker.handle.kill_reason == "garbled"


@pytest.mark.parametrize("size", [1, 31, 32, 40, LARGE])
def test_half_a_frame_and_silence_end_the_worker(own_server, size: int) -> None:
    server = own_server("")
    worker, client = inside(server)

    worker.send(pack_outcome(1, Answer(b"x" * 2 * LARGE))[:size])
    server.run()
    assert worker.handle.kill_reason == ""
    server.pass_by(8)

    assert worker.handle.kill_reason == "garbled"
    assert server.wait_for_line("sent part of a frame, and then nothing more (00")
    dies(server, worker)
    assert client.read_response().status == 500


def test_a_frame_may_come_slowly(own_server) -> None:
    server = own_server("")
    worker, client = inside(server)
    frame = pack_outcome(1, Answer(b"[2]"))

    for at in range(len(frame)):
        worker.send(frame[at : at + 1])
        server.pass_by(3)

    assert client.read_response().body == b"[2]"
    assert worker.handle.kill_reason == ""


def test_a_stream_may_wait_for_its_client_in_the_middle_of_a_frame(own_server) -> None:
    server = own_server("")
    worker, client = inside(server)
    client.transport.room = 0

    chunk = pack_frame(answers.STREAM_CHUNK, 1, b"x" * 300_000)
    worker.send(BEGIN + chunk + chunk[:1000])
    server.run()
    server.pass_by(20)

    assert worker.handle.kill_reason == ""


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_no_bytes_make_the_reader_raise(pieces: list[bytes]) -> None:
    reader = AnswerReader()

    for piece in pieces:
        was_lost = reader.is_lost
        found = reader.feed(piece)
        assert not (was_lost and found)
        assert all(each.kind <= answers.CHILD_ENDED or each.kind < 256 for each in found[:-1])


@settings(max_examples=30)
@given(data=st.binary(min_size=1, max_size=200), cut=st.integers(0, 60))
def test_no_bytes_make_the_front_raise(own_garbled_server, data: bytes, cut: int) -> None:
    """Nor do real frames with other bytes in them."""
    server: MemoryServer = own_garbled_server
    worker = server.add_worker(len(server.workers) + 1)
    frame = pack_outcome(1, Failure(500, "run", "m", detail={"type": "E"}))

    worker.send(frame[:cut] + data + frame[cut:])
    server.run()
    server.pass_by(8)

    assert worker.handle.kill_reason == "garbled"
    server.front.dispatcher.lost(worker.handle)
    assert server.lines("Traceback") == []


@pytest.fixture(scope="module")
def own_garbled_server(live_server) -> MemoryServer:
    server: MemoryServer = live_server("", workers=0)
    return server


# -- what a process says about itself -------------------------------------------------------

READY = {"style": "plain", "warnings": [], "documents": {}}
CONTROL = {
    "a stage that is no text": AnswerFrame(answers.STAGE, 0, 200, 0, 0, b"", b"\xff\xfe"),
    "ready as another": AnswerFrame(answers.READY, 0, 200, 99, 0, b"", orjson.dumps(READY)),
    "ready without JSON": AnswerFrame(answers.READY, 0, 200, 42, 0, b"", b"ready"),
    "ready as a list": AnswerFrame(answers.READY, 0, 200, 42, 0, b"", b"[]"),
    "ready and no more": AnswerFrame(answers.READY, 0, 200, 42, 0, b"", b"{}"),
    "a report that is none": AnswerFrame(answers.FAILED, 0, 200, 0, 0, b"", b'{"stage": 1}'),
    "a report of numbers": AnswerFrame(
        answers.FAILED, 0, 200, 0, 0, b"", b'{"stage": 1, "error_type": 2, "message": 3}'
    ),
    "a fork by a worker": AnswerFrame(answers.FORKED, 0, 200, 7, 0, b"", b'{"error": ""}'),
    "an end of nobody": AnswerFrame(answers.CHILD_ENDED, 0, 200, 7, 0, b"", b'{"code": 0}'),
}
OF_A_LOADER = {
    "a fork that nobody wanted": AnswerFrame(answers.FORKED, 0, 200, 7, 0, b"", b'{"error": ""}'),
    "a fork without JSON": AnswerFrame(answers.FORKED, 0, 200, 42, 0, b"", b"!"),
    "an end without status": AnswerFrame(answers.CHILD_ENDED, 0, 200, 7, 0, b"", b'{"code": "x"}'),
}


def says(server: MemoryServer, frame: AnswerFrame, *, is_loader: bool = False) -> WorkerHandle:
    """A process that is starting sends a frame."""
    handle = WorkerHandle(Member(5, 1, is_loader, pid=42))
    handle.handed_over()
    handle.signal = lambda _number: None  # type: ignore[method-assign] # pid 42 is another's
    server.front.pool.control_frame(handle, frame)
    return handle


@pytest.mark.parametrize("frame", CONTROL.values(), ids=CONTROL.keys())
def test_garbage_about_itself_ends_a_process(own_server, frame: AnswerFrame) -> None:
    server = own_server("")

    handle = says(server, frame)

    assert (handle.kill_reason, handle.pid) == ("garbled", 42)
    assert server.wait_for_line("worker 5 (pid 42)", "something else wrote to its socket")
    handle.close()


@pytest.mark.parametrize("frame", OF_A_LOADER.values(), ids=OF_A_LOADER.keys())
def test_garbage_about_forks_ends_a_loader(own_server, frame: AnswerFrame) -> None:
    server = own_server("")

    handle = says(server, frame, is_loader=True)

    assert handle.kill_reason == "garbled"
    assert server.wait_for_line("loader (pid 42)", "something else wrote to its socket")
    handle.close()
