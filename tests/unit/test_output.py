"""What a script prints, from its pipe to the log; and the log itself, which waits for nobody."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from scorehost.front.observe.log import Log, LogBridge
from scorehost.front.observe.writer import MOST_KEPT, LogWriter
from scorehost.front.workers.script_output import ScriptOutput
from scorehost.wire import marks
from scorehost.wire.shared import SharedState
from support.wait import wait_until

BEGIN, END = marks.mark(marks.BEGIN, b"r-1"), marks.mark(marks.END, b"r-1")


class Pipe:
    """A worker's output, and what became of it: pairs of request id and text."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        self._reading = reading
        self.shared = SharedState(SharedState.create())
        self.last_lines: deque[str] = deque(maxlen=100)
        self.events: list[tuple[int, str, str, str]] = []
        self.output = ScriptOutput(reading, self, self.shared, self.last_lines)

    def event(
        self, level: int, logger: str, message: str, *, request_id: str = "", **_: Any
    ) -> None:
        self.events.append((level, logger, message, request_id))

    def gets(self, *written: bytes, inside: str = "") -> list[tuple[str, str]]:
        """What is logged when the worker writes this, read piece by piece."""
        before = len(self.events)
        for piece in written:
            os.write(self.writing, piece)
            assert self.output.read(inside)
        return [(whose, text) for _, _, text, whose in self.events[before:]]

    def close(self) -> None:
        os.close(self.writing)
        os.close(self._reading)
        self.shared.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_lines_between_marks_are_the_requests(pipe: Pipe) -> None:
    assert pipe.gets(b"before\n" + BEGIN + b"within\nhalf" + END + b"after\n") == [
        ("", "before"), ("r-1", "within"), ("r-1", "half"), ("", "after"),
    ]  # fmt: skip


def test_marks_may_come_in_pieces(pipe: Pipe) -> None:
    """Whatever the pipe gives at once."""
    whole = BEGIN + "é one\n".encode() + END + b"two\n"

    assert pipe.gets(*(whole[at : at + 1] for at in range(len(whole)))) == [
        ("r-1", "é one"), ("", "two"),
    ]  # fmt: skip


def test_another_thread_writes_in_between(pipe: Pipe) -> None:
    pause, resume = marks.mark(marks.PAUSE), marks.mark(marks.RESUME)

    assert pipe.gets(BEGIN + b"a\n" + pause + b"thread\n" + resume + b"b\n" + END) == [
        ("r-1", "a"), ("", "thread"), ("r-1", "b"),
    ]  # fmt: skip


def test_native_code_writes_unmarked(pipe: Pipe) -> None:
    """It is of the request inside, and from then on the worker marks every request."""
    assert not pipe.shared.mark_all

    assert pipe.gets(b"from C\n", inside="r-5") == [("r-5", "from C")]
    assert pipe.shared.mark_all


def test_records_keep_their_level_and_logger(pipe: Pipe) -> None:
    def record(**fields: Any) -> bytes:
        return marks.mark(marks.RECORD, orjson.dumps(fields))

    mine = {"level": "WARNING", "number": 30, "message": "beware"}
    pipe.gets(BEGIN + record(logger="my.code", **mine) + record(logger="root", **mine))

    assert pipe.events == [
        (30, "scorehost.script.my.code", "beware", "r-1"),
        (30, "scorehost.script", "beware", "r-1"),
    ]
    assert [*pipe.last_lines] == ["WARNING:my.code: beware", "WARNING:root: beware"]


def test_what_only_looks_like_a_record_is_a_line(pipe: Pipe) -> None:
    assert pipe.gets(marks.mark(marks.RECORD, b"{no json")) == [("", "{no json")]


@pytest.mark.parametrize(
    ("written", "logged"),
    [
        (b"10 %\r50 %\r100 %\n", ["100 %"]),  # a progress bar: its last state
        (b"windows\r\n", ["windows"]),
        (b"\n\n", []),
        (b"\xff\n", ["\N{REPLACEMENT CHARACTER}"]),
    ],
)
def test_lines_as_they_are_logged(pipe: Pipe, written: bytes, logged: list[str]) -> None:
    assert [text for _, text in pipe.gets(written)] == logged


def test_a_line_without_end_is_logged_in_pieces(pipe: Pipe) -> None:
    """No script can make the front hold more."""
    logged = pipe.gets(*[b"x" * (16 << 10)] * 5)

    assert [len(text) for _, text in logged] == [80 << 10]


def test_what_a_process_left_behind(pipe: Pipe) -> None:
    """The line that it did not end counts as one."""
    os.write(pipe.writing, b"last words")

    pipe.output.drain("r-2")

    assert [(whose, text) for _, _, text, whose in pipe.events] == [("r-2", "last words")]


def test_the_end_of_the_pipe(pipe: Pipe) -> None:
    assert pipe.output.read(""), "nothing yet"

    os.close(pipe.writing)
    pipe.writing = os.open(os.devnull, os.O_WRONLY)

    assert not pipe.output.read("")
    pipe.output.drain()
    assert pipe.events == []


# -- the writer -----------------------------------------------------------------------------


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        writer = LogWriter(file.fileno())
        for number in range(100):
            writer.write(b"%d\n" % number)
        writer.close()
        writer.write(b"late\n")  # by whoever says it

    assert (tmp_path / "log").read_text().split() == [*map(str, range(100)), "late"]


def test_a_reader_that_does_not_read_stops_nobody() -> None:
    """Beyond a bound lines are dropped, counted, and the count is logged when there is room."""
    reading, writing = os.pipe()
    writer = LogWriter(writing)
    line = b"x" * (64 << 10) + b"\n"
    most = MOST_KEPT // len(line) + 2
    for _ in range(most + 10):
        writer.write(line)

    found = bytearray()
    reader = threading.Thread(target=lambda: _read_to_end(reading, found))
    reader.start()
    wait_until(lambda: b"dropped" in found, what="the loss is told")
    writer.close()
    os.close(writing)
    reader.join()
    os.close(reading)

    (said,) = [each for each in found.splitlines() if b"dropped" in each]
    dropped = int(said.split()[0].lstrip(b"("))
    assert found.count(line) + dropped == most + 10
    assert 0 < dropped <= 11


def _read_to_end(descriptor: int, found: bytearray) -> None:
    while data := os.read(descriptor, 1 << 20):
        found += data


def test_a_reader_that_has_gone_harms_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LogWriter(writing)

    writer.write(b"nobody\n")
    writer.close()
    writer.write(b"reads this\n")

    os.close(writing)


# -- the log --------------------------------------------------------------------------------


class Lines(LogWriter):
    """Keeps what would be written."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.text = ""

    def write(self, data: bytes) -> None:
        self.text += data.decode()


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("own", " WARN  scorehost.script.mine [r-1]: said\n"),
        ("azmlinfsrv", " W [7] mine - said\n"),
    ],
)
def test_styles(style: str, expected: str) -> None:
    lines = Lines()

    Log(lines, "INFO", "text", style).event(
        logging.WARNING, "scorehost.script.mine", "said", request_id="r-1", pid=7
    )

    assert lines.text[len("2026-01-01 00:00:00,000") :] == expected


def test_json_form() -> None:
    lines = Lines()

    Log(lines, "INFO", "json", "own").warning("said", reason="oom")

    record = orjson.loads(lines.text)
    assert (record["level"], record["message"], record["reason"]) == ("WARNING", "said", "oom")
    assert record["pid"] == os.getpid()


def test_levels() -> None:
    """What scripts print is logged at any of them; a level nobody knows is INFO."""
    lines = Lines()
    log = Log(lines, "ERROR", "text", "own")
    log.debug("no")
    log.info("no")
    log.warning("no")
    log.event(logging.INFO, "scorehost.print", "yes", always=True)

    assert lines.text.count("\n") == 1
    assert Log(lines, "nonsense", "text", "own").enabled(logging.INFO)


def test_lines_that_were_collected_come_first() -> None:
    """An access line is written before what happened after it."""
    lines = Lines()
    log = Log(lines, "INFO", "text", "own")
    log.before_event = lambda: log.lines(b"collected\n")

    log.raw("a report")

    assert lines.text == "collected\na report\n"


def test_what_libraries_log_comes_through(capsys: pytest.CaptureFixture[str]) -> None:
    """A record that cannot be formatted is theirs to hear of, and no harm to the front."""
    lines = Lines()
    bridge = LogBridge(Log(lines, "INFO", "text", "own"))

    def record(*args: object) -> logging.LogRecord:
        return logging.LogRecord("asyncio", logging.ERROR, __file__, 1, "slow: %d", args, None)

    bridge.handle(record(3))
    bridge.handle(record("text"))

    assert lines.text.endswith("ERROR asyncio: slow: 3\n")
    assert "Logging error" in capsys.readouterr().err
