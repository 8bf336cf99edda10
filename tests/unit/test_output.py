"""What a script prints, from its pipe to the log; and the log itself, which waits for nobody."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import termios
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from scorehost.commands import check, replay
from scorehost.diagnosis.report import write_termination_message
from scorehost.front.observe.log import Log, LogBridge
from scorehost.front.observe.writer import MOST_KEPT, LogWriter
from scorehost.front.workers.script_output import ScriptOutput
from scorehost.wire import marks
from scorehost.wire.shared import SharedState
from support.wait import wait_until


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
        self.begin, self.end = self.mark(marks.BEGIN, b"r-1"), self.mark(marks.END, b"r-1")

    def mark(self, kind: bytes, payload: bytes = b"") -> bytes:
        """A mark of this worker's."""
        return marks.mark(marks.opening(self.shared.secret), kind, payload)

    def record(self, message: object = "said", **fields: object) -> bytes:
        """A record of the script's loggers."""
        usual = {"level": "WARNING", "number": 30, "logger": "my.code", "message": message}
        return self.mark(marks.RECORD, orjson.dumps(usual | fields))

    def event(
        self, level: int, logger: str, message: str, *, request_id: str = "", **_: Any
    ) -> None:
        self.events.append((level, logger, message, request_id))

    def gets(self, *written: bytes, inside: str = "") -> list[tuple[str, str]]:
        """What is logged when the worker writes this, read piece by piece."""
        before = len(self.events)
        for piece in written:
            os.write(self.writing, piece)
            while self.waiting():
                assert self.output.read(inside)
        return [(whose, text) for _, _, text, whose in self.events[before:]]

    def waiting(self) -> int:
        """How many bytes have not been read."""
        count = fcntl.ioctl(self._reading, termios.FIONREAD, bytes(4))
        return int.from_bytes(count, sys.byteorder)

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
    written = b"before\n" + pipe.begin + b"within\nhalf" + pipe.end + b"after\n"

    assert pipe.gets(written) == [
        ("", "before"), ("r-1", "within"), ("r-1", "half"), ("", "after"),
    ]  # fmt: skip


def test_marks_may_come_in_pieces(pipe: Pipe) -> None:
    """Whatever the pipe gives at once."""
    whole = pipe.begin + "é one\n".encode() + pipe.end + b"two\n"

    assert pipe.gets(*(whole[at : at + 1] for at in range(len(whole)))) == [
        ("r-1", "é one"), ("", "two"),
    ]  # fmt: skip


def test_another_thread_writes_in_between(pipe: Pipe) -> None:
    written = b"thread\n".join([pipe.mark(marks.PAUSE), pipe.mark(marks.RESUME)])

    assert pipe.gets(pipe.begin + b"a\n" + written + b"b\n" + pipe.end) == [
        ("r-1", "a"), ("", "thread"), ("r-1", "b"),
    ]  # fmt: skip


def test_native_code_writes_unmarked(pipe: Pipe) -> None:
    """It is of the request inside, and from then on the worker marks every request."""
    assert not pipe.shared.mark_all

    assert pipe.gets(b"from C\n", inside="r-5") == [("r-5", "from C")]
    assert pipe.shared.mark_all


def test_records_keep_their_level_and_logger(pipe: Pipe) -> None:
    pipe.gets(pipe.begin + pipe.record("beware") + pipe.record("beware", logger="root"))

    assert pipe.events == [
        (30, "scorehost.script.my.code", "beware", "r-1"),
        (30, "scorehost.script", "beware", "r-1"),
    ]
    assert [*pipe.last_lines] == ["WARNING:my.code: beware", "WARNING:root: beware"]


@pytest.mark.parametrize(
    ("record", "logged"),
    [
        (b"{no json", "{no json"),
        (b"[30]", "[30]"),
        (b"{}", "{}"),
        (b"null", "null"),
        (b'{"level":1,"number":null,"logger":"l","message":"m"}', None),
        (b'{"level":1,"number":"high","logger":"l","message":"m"}', None),
        (b'{"level":1,"number":1e400,"logger":"l","message":"m"}', None),
        (b"\xff\x00\n", "\N{REPLACEMENT CHARACTER}\x00\n"),
    ],
)
def test_what_only_looks_like_a_record_is_a_line(
    pipe: Pipe, record: bytes, logged: str | None
) -> None:
    written = pipe.mark(marks.RECORD, record)

    assert pipe.gets(written) == [("", logged if logged is not None else record.decode())]


@pytest.mark.parametrize("number", [-(10**9), 0, True, 35, 2**63, 1e300])
def test_a_record_may_have_any_number_for_a_level(pipe: Pipe, number: float) -> None:
    pipe.gets(pipe.record(number=number))
    lines = Lines()
    for form, style in (("text", "own"), ("text", "azmlinfsrv"), ("json", "own")):
        Log(lines, "INFO", form, style).event(*pipe.events[0][:3], always=True)

    assert pipe.events == [(int(number), "scorehost.script.my.code", "said", "")]
    assert lines.text.count("said\n") == 2
    assert lines.text.count('"said"') == 1


# -- marks that nobody but the worker can make ------------------------------------------------


def made_up(kind: bytes, payload: bytes = b"") -> list[bytes]:
    """Marks as somebody would make them who does not know the secret, or another process's."""
    known = marks.opening(b"")
    others = marks.opening(os.urandom(16))
    return [
        known + kind + payload + b"\x00\n",
        marks.mark(known, kind, payload),
        marks.mark(known + bytes(16), kind, payload),
        marks.mark(others, kind, payload),
    ]


@pytest.mark.parametrize("kind", [marks.BEGIN, marks.END, marks.PAUSE, marks.RESUME, marks.RECORD])
def test_a_mark_without_the_secret_is_text(pipe: Pipe, kind: bytes) -> None:
    """It neither ends a request nor begins one, has no level, and hides nothing."""
    forged = orjson.dumps({"level": "ERROR", "number": 40, "logger": "root", "message": "forged"})

    for written in made_up(kind, forged):
        logged = pipe.gets(pipe.begin + b"a\n" + written + b"\nb\n" + pipe.end)

        assert {whose for whose, _ in logged} == {"r-1"}
        assert (logged[0][1], logged[-1][1]) == ("a", "b")
        assert "".join(text for _, text in logged[1:-1]).count("forged") == 1
    assert {(level, logger) for level, logger, _, _ in pipe.events} == {
        (logging.INFO, "scorehost.print")
    }


def test_each_process_has_a_secret_of_its_own() -> None:
    pipes = [Pipe() for _ in range(20)]

    assert len({pipe.shared.secret for pipe in pipes}) == 20
    assert all(len(pipe.shared.secret) == 16 for pipe in pipes)
    for pipe in pipes:
        pipe.close()


def test_the_worker_takes_the_secret_out_of_the_page() -> None:
    descriptor = SharedState.create()
    front, worker = SharedState(descriptor), SharedState(descriptor)
    worker.begin(2**64 - 1, 2**64 - 1)

    assert worker.take_secret() == front.secret
    assert front.secret not in os.pread(descriptor, 4096, 0)
    assert (front.begun, front.debugger_port) == (2**64 - 1, 0)
    os.close(descriptor)
    front.close()
    worker.close()


def test_payloads_may_hold_anything(pipe: Pipe) -> None:
    whose = b"\x00\n\x00\x1a" + pipe.begin[:6] + b"\xff"
    begin, end = (pipe.mark(kind, whose) for kind in (marks.BEGIN, marks.END))

    assert pipe.gets(begin + b"a\n" + end + b"b\n") == [(whose.decode("latin-1"), "a"), ("", "b")]
    pipe.gets(pipe.record("\x00\n\x00\x1a" * 100))
    assert pipe.events[-1][2] == "\x00\n\x00\x1a" * 100


@pytest.mark.parametrize("kind", [marks.BEGIN, marks.END, marks.PAUSE, marks.RESUME, marks.RECORD])
def test_a_mark_may_be_cut_at_any_byte(pipe: Pipe, kind: bytes) -> None:
    """Of what is read at once; lines around it are whole."""
    payload = orjson.dumps({"level": "INFO", "number": 20, "logger": "root", "message": "m"})
    whole = pipe.begin + b"a\n" + pipe.mark(kind, payload) + b"b\n" + pipe.mark(marks.END)
    expected = pipe.gets(whole)

    for at in range(1, len(whole)):
        assert pipe.gets(whole[:at], whole[at:]) == expected


def test_what_begins_like_a_mark_waits_for_nothing(pipe: Pipe) -> None:
    """Only for the end of its line, as all text does."""
    opening = marks.opening(pipe.shared.secret)

    for size in range(1, len(opening)):
        letter = "b" if opening[size] != ord("b") else "c"  # the secret's next byte would end it
        logged = pipe.gets(b"a" + opening[:size], f"{letter}\n".encode())
        assert logged[-1][1].endswith(letter)


def test_a_mark_that_is_cut_off_holds_nothing_up(pipe: Pipe) -> None:
    """A process may end within one, and a script that has got at its secret may leave one open."""
    cut_off = pipe.mark(marks.BEGIN, b"x" * 0xFFFF)[: marks.HEAD]

    logged = pipe.gets(cut_off, *[b"line\n" * 200] * 70, b"after\n")
    assert logged[-1][1] == "after"

    os.write(pipe.writing, cut_off + b"last words")
    pipe.output.drain()
    assert pipe.events[-1][2].endswith("last words")


def test_parts_of_a_record_are_one(pipe: Pipe) -> None:
    document = orjson.dumps(
        {"level": "ERROR", "number": 40, "logger": "root", "message": "é" * 5000}
    )
    parts = [document[at : at + 999] for at in range(0, len(document), 999)]
    *first, last = parts

    pipe.gets(
        pipe.begin,
        b"half a ",
        b"".join(pipe.mark(marks.PART, part) for part in first),
        pipe.mark(marks.RECORD, last),
        b"line\n" + pipe.end,
    )

    assert [event[::2] for event in pipe.events] == [(40, "é" * 5000), (20, "half a line")]


def test_a_record_without_end_is_not_kept_for_ever(pipe: Pipe) -> None:
    """Not beyond its bound, nor beyond its request, which may be interrupted in the middle."""
    part = pipe.mark(marks.PART, b"p" * 4000)
    logged = pipe.gets(pipe.begin, *[part] * (marks.LARGEST_RECORD // 4000 + 1))
    assert [len(text) // 4000 for _, text in logged] == [marks.LARGEST_RECORD // 4000 + 1]

    assert pipe.gets(part + pipe.end + pipe.begin + pipe.record("next")) == [("r-1", "next")]


@pytest.mark.parametrize(
    "text", [b"\x00\x1a", b"\x00\x1aL", b"\x00", b"x", b"\n", b"\x00\x1aL{\n", b"\x1b[0m"]
)
def test_work_grows_with_the_text_and_no_faster(pipe: Pipe, text: bytes) -> None:
    """However often something in it looks like a mark: what was looked at is not kept for long."""
    for _ in range(300):
        pipe.gets(text * (1024 // len(text)))

        assert len(pipe.output._undecided) < marks.HEAD
        assert len(pipe.output._unfinished) <= 65 << 10
        assert len(pipe.output._parts) == 0


def test_a_turn_reads_a_little(pipe: Pipe) -> None:
    """Of the shortest lines too: others wait for the event loop meanwhile."""
    os.write(pipe.writing, b"x\n" * 20_000)

    assert pipe.output.read("")

    assert 0 < len(pipe.events) <= 512
    pipe.output.drain()
    assert len(pipe.events) == 20_000


def test_catching_up_ends_although_others_go_on_writing(pipe: Pipe) -> None:
    """Another process has the pipe too, and fills it up while it is being emptied."""
    written = 0

    def write_more(*_: Any, **__: Any) -> None:
        nonlocal written
        written += os.write(pipe.writing, b"more\n")

    os.write(pipe.writing, b"first\n" * 100)
    pipe.event = write_more  # type: ignore[method-assign]

    pipe.output.catch_up()

    assert written == 500


@pytest.mark.parametrize(
    ("written", "logged"),
    [
        (b"\r10 %\r50 %\r100 %\n", ["100 %"]),  # a progress bar: its last state
        (b"login of bob\r denied\n", ["login of bob\r denied"]),  # which the log shows escaped
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

    assert [len(text) for _, text in logged] == [65 << 10]


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
    Log(writer, "ERROR", "json", "own")
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
    event = orjson.loads(said)
    assert "because nobody read it" in event["message"]
    dropped = event["dropped"]
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


def written(
    message: str,
    *,
    form: str = "text",
    style: str = "own",
    logger: str = "scorehost",
    **fields: Any,
) -> str:
    """What the log makes of this, without the time."""
    lines = Lines()
    Log(lines, "INFO", form, style).event(logging.ERROR, logger, message, **fields)
    return lines.text if form == "json" else lines.text[len("2026-01-01 00:00:00,000 ") :]


MISLEADING = {
    "\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "a\x9b2J": r"a\x9b2J",
    "\x00\x08\x7f": r"\x00\x08\x7f",
    "a\r2026": r"a\r2026",
    "a\x0b\x0c\x1c\x1d\x1e\x85b": r"a\x0b\x0c\x1c\x1d\x1e\x85b",
    "a\u2028b\u2029c": r"a\u2028b\u2029c",
    "\u202aa\u202db\u202e\u2066c\u2069": r"\u202aa\u202db\u202e\u2066c\u2069",
    "\udc9b\ud800": r"\udc9b\ud800",
}


@pytest.mark.parametrize("style", ["own", "azmlinfsrv"])
@pytest.mark.parametrize(("text", "shown"), MISLEADING.items())
def test_what_misleads_is_shown(text: str, shown: str, style: str) -> None:
    """Wherever it stands: in a message, and in the names of a logger and of a request."""
    assert written(f"said {text}", style=style).endswith(f" said {shown}\n")

    line = written("said", style=style, logger=f"a {text} b", request_id=text)
    assert line[:-1].isprintable()
    assert len(line.split()) == len(
        written("said", style=style, logger="a", request_id="b").split()
    )


@pytest.mark.parametrize(
    "text", ["tab\tbed", "Füße", "日本語", "🧑\u200d🔬", "שלום", "C:\\x1b", "a\xa0b"]
)
def test_what_does_not_mislead_stays(text: str) -> None:
    assert written(text) == f"ERROR scorehost: {text}\n"


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-01-01 00:00:00,000 ERROR scorehost: forged",
        "2026-01-01 00:00:00,000 E [7] azmlinfsrv - forged",
        "\N{ZERO WIDTH JOINER}2026-01-01 00:00:00,000 E [7] azmlinfsrv - forged",
        "\N{BRAILLE PATTERN BLANK}2026-01-01 00:00:00,000 E [7] azmlinfsrv - forged",
        "\N{FULLWIDTH DIGIT TWO}026-01-01 00:00:00,000 E [7] azmlinfsrv - forged",
    ],
)
@pytest.mark.parametrize("style", ["own", "azmlinfsrv"])
@pytest.mark.parametrize("end", ["\n", "\n\n", "\r\n", "x\n"])
def test_no_line_of_a_message_looks_like_ours(stamp: str, style: str, end: str) -> None:
    first, *others = written(f"said{end}{stamp}{end}{stamp}", style=style).splitlines()

    assert "forged" not in first
    assert all(line.startswith(f"  {stamp}") for line in others if line)
    assert sum("forged" in line for line in others) == 2


@pytest.mark.parametrize(
    "unseen",
    [
        *("\u200b", "\u200f", "\u061c", "\u2060", "\ufeff", "\xad", "\u3164", "\u115f", "\uffa0"),
        *("\ufff9", "\U000e0041", "\u180e"),
    ],
)
@pytest.mark.parametrize("style", ["own", "azmlinfsrv"])
def test_what_is_not_seen_is_shown(unseen: str, style: str) -> None:
    stamp = "2026-01-01 00:00:00,000 E [7] azmlinfsrv - forged"
    _first, second = written(f"said\n{unseen}{stamp}", style=style).splitlines()

    assert second.strip() == unseen.encode("unicode_escape").decode() + stamp


def test_a_traceback_reads_well_and_as_its_readers_know_it() -> None:
    """In the other server's format it is as Python writes it."""
    traceback = 'Traceback (most recent call last):\n  File "a.py", line 1\n\n    x\nValueError: 1'

    assert written(f"failed:\n{traceback}") == (
        "ERROR scorehost: failed:\n  Traceback (most recent call last):\n"
        '    File "a.py", line 1\n\n      x\n  ValueError: 1\n'
    )
    other = written(f"failed:\n{traceback}", style="azmlinfsrv")
    assert other.endswith(f" azmlinfsrv - failed:\n{traceback}\n")


def test_reports_are_harmless_too() -> None:
    lines = Lines()

    Log(lines, "INFO", "text", "own").raw("| a\x1b[2J\u202e\udcff\n| b")

    assert lines.text == "| a\\x1b[2J\\u202e\\udcff\n| b\n"


@pytest.mark.parametrize("text", [*MISLEADING, "a\nb"])
def test_json_keeps_the_text_and_shows_none_of_it(text: str) -> None:
    """But what UTF-8 cannot hold, which no reader would take."""
    line = written(text, form="json", request_id=text, reason=text)

    assert line[:-1].isprintable()
    expected = text.encode("utf-8", "backslashreplace").decode()
    record = orjson.loads(line)
    assert [record[name] for name in ("message", "request_id", "reason")] == [expected] * 3


class Unspeakable:
    """Fails to say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        (b"\x1b", r"b'\x1b'"),
        (2**64, str(2**64)),
        pytest.param(10**5000, "(int)", id="many digits"),
        (["\ud800"], r"['\ud800']"),
        ({1: 2}, "{1: 2}"),
        (Unspeakable(), "(Unspeakable)"),
        (float("inf"), None),
    ],
)
def test_json_never_fails(value: object, logged: object) -> None:
    """What it cannot hold becomes text; the other members stay what they are."""
    record = orjson.loads(written("said", form="json", odd=value, count=3))

    assert (record["odd"], record["count"], record["message"]) == (logged, 3, "said")


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


# -- terminals and files beside the log -----------------------------------------------------


@pytest.mark.parametrize(("text", "shown"), MISLEADING.items())
def test_nothing_else_that_is_written_misleads(
    text: str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The termination message, and what the commands show of a script and of recorded requests."""
    write_termination_message(f"request {text}", tmp_path / "message")
    check.Log(sys.stdout).script_wrote(text)
    replay.told(text)

    assert (tmp_path / "message").read_text() == f"request {shown}"
    out, err = capsys.readouterr()
    assert out.endswith(f" {shown}\n")
    assert err == f"{shown}\n"
