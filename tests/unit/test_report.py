"""The framed report: what is in it, how it looks, and that it fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scorehost
from scorehost.diagnosis.frames import Frame, format_frames, user_frames
from scorehost.diagnosis.report import (
    OUR_FAULT,
    TERMINATION_LIMIT,
    Cause,
    Report,
    format_exception,
    report_death,
    report_exception,
    type_name,
    write_termination_message,
)
from scorehost.entry_script import load_entry_script, run_init
from scorehost.errors import EntryScriptError, MissingFunction

REPORT = Report(
    stage="init()",
    error_type="ValueError",
    message="no weights",
    frames=[
        Frame("score.py", 9, "init", ((9, "    load()"),)),
        Frame("helpers.py", 2, "load", ((1, "def load():"), (2, "    raise ValueError()"))),
    ],
    hint="Put the weights into the image:\n    COPY weights.bin /var/azureml-app/",
    script="/var/azureml-app/score.py",
    tree="models/\n  weights/",
    stacks="Thread:\n  score.py:9 in init",
    output="loading",
    beneath="raised in json/decoder.py, line 1, in decode()",
    causes=[Cause("KeyError", "'w'", [Frame("helpers.py", 1, "", ((1, "x = y['w']"),))])],
)

DRAWN = """\
┌─ scorehost: score.py did not start ───────────────────────────────────────────────────────────────
│ Script  /var/azureml-app/score.py
│ Stage   init()
│ Error   ValueError: no weights
│
│ Where
│   score.py:9 in init()
│     >    9      load()
│   helpers.py:2 in load()
│          1  def load():
│     >    2      raise ValueError()
│   raised in json/decoder.py, line 1, in decode()
│
│ Cause   KeyError: 'w'
│   helpers.py:1
│     >    1  x = y['w']
│
│ Files
│   models/
│     weights/
│
│ Stacks
│   Thread:
│     score.py:9 in init
│
│ Output
│   loading
│
│ Hint    Put the weights into the image:
│             COPY weights.bin /var/azureml-app/
└───────────────────────────────────────────────────────────────────────────────────────────────────
"""


def test_every_part_has_its_place() -> None:
    """The hint is last: it is what a person should read."""
    assert REPORT.text() == DRAWN


def test_drawn_with_ascii() -> None:
    """The frame is ASCII; the script's own words keep their letters."""
    report = Report("init()", "ValueError", "Größe fehlt", hint="h", script="score.py")

    text = report.text(ascii_only=True)

    assert text.startswith("+- scorehost: score.py did not start ---")
    assert "| Error   ValueError: Größe fehlt\n" in text
    assert text.endswith("\n+" + 99 * "-" + "\n")


def test_prose_wraps_and_code_does_not() -> None:
    """Prose stays within 100 columns; a line of code is one line."""
    code = "    model = " + " + ".join(f"weight_{number}" for number in range(40))
    report = Report(
        "init()",
        "ValueError",
        "word " * 60,
        [Frame("score.py", 1, "", ((1, code),))],
        hint="advice " * 60 + "\n    pip install " + "x" * 150,
        script="score.py",
    )

    lines = report.text().splitlines()

    assert [line for line in lines if len(line) > 100] == [
        f"│     >    1  {code}",
        "│             pip install " + "x" * 150,
    ]


def test_no_control_characters() -> None:
    """Colours go, other control characters are shown: nothing may steer the terminal."""
    report = Report("init()", "E", "\x1b[31mred\x1b[0m \x1b]0;title\x07", script="s.py")

    assert "E: red \\x1b]0;title\\x07\n" in report.text()


def test_survives_the_way_to_the_front() -> None:
    """The worker sends it as JSON."""
    assert Report.from_dict(json.loads(json.dumps(REPORT.to_dict()))) == REPORT


def test_one_of_our_errors_speaks_for_itself() -> None:
    """Our class names mean nothing to a user."""
    error = MissingFunction(Path("score.py"), "run", ["init"])

    report = report_exception(error, stage="signature", script=Path("x"), app_root=Path("."))

    assert report.error_type == "MissingFunction"
    assert report.error == str(error)


class TestLimit:
    """A termination message has 4096 bytes."""

    def test_frames_give_way_from_their_middle(self) -> None:
        """The first and the last frame, the error and the hint stay."""
        frames = [Frame("score.py", n, f"call_{n}", ((n, "x" * 90),)) for n in range(1, 100)]
        report = Report("init()", "ValueError", "v", frames, hint="do this", script="score.py")

        text = report.termination_message()

        assert len(text.encode()) <= TERMINATION_LIMIT
        assert "score.py:1 in call_1()" in text
        assert "score.py:99 in call_99()" not in text.partition("lines left out")[0]
        assert "| " + " " * 4 + ">   99" in text
        assert "| Hint    do this\n" in text

    def test_a_message_without_end_is_cut(self) -> None:
        """Its beginning and its end stay."""
        report = Report("init()", "E", "first\n" + "é" * 9000 + "\nlast", hint="h", script="s.py")

        text = report.termination_message()

        assert len(text.encode()) <= TERMINATION_LIMIT
        assert "E: first" in text
        assert "last" in text
        assert "Hint    h" in text

    @given(
        message=st.text(max_size=6000),
        source=st.lists(st.text(max_size=300), max_size=60),
        output=st.text(max_size=6000),
        hint=st.text(alphabet="abc def\n", max_size=600),
    )
    def test_whatever_is_in_it(
        self, message: str, source: list[str], output: str, hint: str
    ) -> None:
        """It fits, and the hint is whole."""
        frames = [Frame("score.py", n, "", ((n, text),)) for n, text in enumerate(source, 1)]
        report = Report(
            "init()", "E", message, frames, hint=hint, script="s.py", output=output, tree=output
        )

        text = report.termination_message()

        assert len(text.encode(errors="surrogatepass")) <= TERMINATION_LIMIT
        assert hint.split() == [] or text.split()[-2] == hint.split()[-1]


class TestUserFrames:
    """Only what the user wrote."""

    def test_neither_ours_nor_the_librarys(self, tmp_path: Path) -> None:
        """A failure inside json is placed at the user's line, and json's is said in one line."""
        error = failure(tmp_path, 'import json\n\n\ndef init():\n    json.loads("{")\n')

        report = report_exception(error, stage="init()", script=tmp_path, app_root=tmp_path)

        assert format_frames(report.frames) == [
            "score.py:5 in init()",
            "       4  def init():",
            '  >    5      json.loads("{")',
        ]
        assert report.beneath.startswith("raised in json/decoder.py, line ")

    def test_a_file_outside_the_app_root_keeps_its_path(self, tmp_path: Path) -> None:
        """Modules may come from anywhere on PYTHONPATH."""
        (tmp_path / "app").mkdir()
        outside = tmp_path / "shared.py"
        outside.write_text("def load():\n    raise KeyError('w')\n")
        error = failure(
            tmp_path / "app",
            f"import sys\nsys.path.append({str(tmp_path)!r})\n"
            "from shared import load\n\n\ndef init():\n    load()\n",
        )

        frames = user_frames(error.__cause__ or error, tmp_path / "app")

        assert [frame.file for frame in frames] == ["score.py", str(outside)]

    def test_recursion_shows_its_beginning(self, tmp_path: Path) -> None:
        """Where a recursion ends is chance."""
        error = failure(tmp_path, "def deep():\n    deep()\n\n\ndef init():\n    deep()\n")

        frames = user_frames(error.__cause__ or error, tmp_path)

        assert [frame.line for frame in frames[:3]] == [6, 2, 2]
        assert frames[-1].file == ""
        assert frames[-1].line > 900

    def test_a_deep_call_path_loses_its_middle(self, tmp_path: Path) -> None:
        """Calls that differ are shown from both ends."""
        calls = "".join(f"def f{n}():\n    f{n + 1}()\n" for n in range(40))
        error = failure(tmp_path, f"{calls}def f40():\n    1 / 0\n\n\ndef init():\n    f0()\n")

        frames = user_frames(error.__cause__ or error, tmp_path)

        assert [frame.function for frame in frames] == [
            "init", "f0", "f1", "f2", "", "f37", "f38", "f39", "f40",
        ]  # fmt: skip

    def test_a_line_of_data_is_cut(self, tmp_path: Path) -> None:
        """A line of ten thousand characters is no code to read."""
        error = failure(tmp_path, "def init():\n    x = 1 / 0; y = '" + "a" * 9999 + "'\n")

        (frame,) = user_frames(error.__cause__ or error, tmp_path)

        assert len(frame.source[-1][1]) < 500


class TestReportException:
    """Every exception gets a report."""

    def test_the_chain_is_told(self, tmp_path: Path) -> None:
        """What led to the error stands below it, with its own place."""
        error = failure(
            tmp_path,
            "def init():\n    try:\n        {}['w']\n    except KeyError as missing:\n"
            "        raise ValueError('no weights') from missing\n",
        )

        report = report_exception(error, stage="init()", script=tmp_path, app_root=tmp_path)

        assert report.error == "ValueError: no weights"
        assert [(cause.error_type, cause.message) for cause in report.causes] == [
            ("KeyError", "'w'")
        ]
        assert [frame.line for frame in report.causes[0].frames] == [3]

    def test_a_suppressed_chain_is_not(self, tmp_path: Path) -> None:
        """``raise … from None`` means what it says."""
        error = failure(
            tmp_path,
            "def init():\n    try:\n        {}['w']\n    except KeyError:\n"
            "        raise ValueError('no weights') from None\n",
        )

        report = report_exception(error, stage="init()", script=tmp_path, app_root=tmp_path)

        assert report.causes == []

    def test_a_fault_of_ours_says_so(self, tmp_path: Path) -> None:
        """Without a frame of the user's, and not wrapped, it is not the script's failure."""
        with pytest.raises(AttributeError) as caught:
            load_entry_script(None, tmp_path)  # type: ignore[arg-type]  # that is the fault

        report = report_exception(
            _raised_inside_us(caught.value), stage="import", script=tmp_path, app_root=tmp_path
        )

        assert report.hint == OUR_FAULT
        assert report.beneath.startswith("raised in scorehost/entry_script.py, line ")

    @pytest.mark.parametrize(
        "error",
        [
            FileNotFoundError(2, "gone", b"/no/such\xff"),
            OSError(),
            SyntaxError(),
            SyntaxError("bad", ("/no/such/file.py", 3, 900, "x", 3, 2)),
            ImportError(None, name=None),
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
            KeyError(),
            SystemExit(),
            StopIteration("\udc80"),
        ],
    )
    def test_odd_exceptions(self, error: BaseException, tmp_path: Path) -> None:
        """Libraries build exceptions without the usual arguments."""
        report = report_exception(error, stage="init()", script=tmp_path, app_root=tmp_path)

        assert report.hint
        assert report.text().count("\n") >= 5
        assert len(report.termination_message().encode(errors="replace")) <= TERMINATION_LIMIT

    def test_a_circle_of_causes_ends(self, tmp_path: Path) -> None:
        """Some libraries set ``__cause__`` to the exception itself."""
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first

        report = report_exception(first, stage="init()", script=tmp_path, app_root=tmp_path)

        assert [cause.message for cause in report.causes] == ["second"]


def test_for_the_log(tmp_path: Path) -> None:
    """The same, without a frame, for a failing request's log."""
    error = failure(tmp_path, "def init():\n    return {}['w']\n")

    text = format_exception(error, tmp_path)

    assert text.splitlines() == [
        "KeyError: 'w'",
        "  score.py:2 in init()",
        "         1  def init():",
        "    >    2      return {}['w']",
    ]


GROUPED = """\
try:
    ExceptionGroup
except NameError:  # Python 3.10
    from exceptiongroup import ExceptionGroup

def load(name):
    raise LookupError(name)

def init():
    errors = []
    for name in ["a", "b"]:
        try:
            load(name)
        except LookupError as error:
            errors.append(error)
    try:
        {}["models"]
    except KeyError as missing:
        raise ExceptionGroup("two loads", [errors[0], ExceptionGroup("deeper", errors[1:])])
"""


class TestGroup:
    """Exceptions in a group are told like causes."""

    def test_in_the_log(self, tmp_path: Path) -> None:
        """Each with the user's frames; behind the cause of the group itself."""
        lines = format_exception(failure(tmp_path, GROUPED), tmp_path).splitlines()

        starts = [line.removeprefix("exceptiongroup.") for line in lines if line[0] != " "]
        assert [line.replace("inside: exceptiongroup.", "inside: ") for line in starts] == [
            "ExceptionGroup: two loads (2 sub-exceptions)",
            "caused by KeyError: 'models'",
            "inside: LookupError: a",
            "inside: ExceptionGroup: deeper (1 sub-exception)",
            "inside: LookupError: b",
        ]
        at = lines.index("inside: LookupError: b")
        assert lines[at + 1 :] == [
            "  score.py:13 in init()",
            "    >   13              load(name)",
            "  score.py:7 in load()",
            "    >    7      raise LookupError(name)",
        ]

    def test_in_the_report(self, tmp_path: Path) -> None:
        """The same, on its way to the front and drawn."""
        error = failure(tmp_path, GROUPED)

        report = report_exception(error, stage="init()", script=tmp_path, app_root=tmp_path)

        assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
        assert "│ Cause   KeyError: 'models'\n" in report.text()
        assert "│ Inside  LookupError: a\n│   score.py:13 in init()\n" in report.text()
        assert "│ Inside  LookupError: b\n" in report.text()

    def test_what_is_inside_may_have_the_hint(self, tmp_path: Path) -> None:
        """A package that is missing is so in a group too."""
        source = GROUPED.replace("raise LookupError(name)", "import no_such_package_1")
        error = failure(tmp_path, source.replace("except LookupError", "except ImportError"))

        report = report_exception(error, stage="init()", script=tmp_path, app_root=tmp_path)

        assert "no_such_package_1" in report.hint

    def test_a_large_group_is_cut(self, tmp_path: Path) -> None:
        """Nobody reads thousands."""
        source = GROUPED.replace('["a", "b"]', "map(str, range(5000))")

        text = format_exception(failure(tmp_path, source), tmp_path)

        assert "inside: LookupError: 0\n" in text
        assert text.endswith("inside: ... more exceptions ...")
        assert text.count("\n") < 100

    def test_what_only_looks_like_a_group(self, tmp_path: Path) -> None:
        """A class of the user's may have such an attribute."""
        source = (
            "class Odd(Exception):\n    exceptions = (1,)\n"
            "class Worse(Exception):\n    @property\n    def exceptions(self): return 1 / 0\n"
            "def init():\n    raise Odd('odd') from Worse('worse')\n"
        )

        report = report_exception(
            failure(tmp_path, source), stage="init()", script=tmp_path, app_root=tmp_path
        )

        assert [cause.message for cause in report.causes] == ["worse"]


def test_a_death(tmp_path: Path) -> None:
    """Places come from what faulthandler wrote; the user's source stands beside."""
    script = tmp_path / "score.py"
    script.write_text("import ctypes\n\n\ndef init():\n    ctypes.string_at(0)\n")
    ours = Path(scorehost.__file__).with_name("entry_script.py")

    report = report_death(
        stage="init()",
        script=script,
        cause="The process was killed by SIGSEGV.",
        hint="Reinstall.",
        stacks=f"Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent "
        f'call first):\n  File "{script}", line 5 in init\n  File "{ours}", line 99 in run_init\n',
        output="\n".join(f"line {number}" for number in range(100)),
    )

    assert format_frames(report.frames)[-1] == "  >    5      ctypes.string_at(0)"
    assert "entry_script.py" not in report.text()
    assert report.output.splitlines() == [f"line {number}" for number in range(80, 100)]


class TestTerminationMessage:
    """It never raises."""

    def test_written(self, tmp_path: Path) -> None:
        assert write_termination_message(DRAWN, tmp_path / "log")
        assert (tmp_path / "log").read_text("utf-8") == DRAWN

    def test_cut_in_the_middle(self, tmp_path: Path) -> None:
        """Whoever passes more than fits loses the middle."""
        text = "".join(f"line {number}\n" for number in range(2000))

        assert write_termination_message(text, tmp_path / "log")

        written = (tmp_path / "log").read_text("utf-8")
        assert len(written) <= TERMINATION_LIMIT
        assert written.startswith("line 0\n")
        assert written.endswith("\nline 1999\n")

    def test_nowhere_to_write(self, tmp_path: Path) -> None:
        assert not write_termination_message("text", tmp_path)
        assert not write_termination_message("text", tmp_path / "none" / "log")

    def test_odd_text(self, tmp_path: Path) -> None:
        assert write_termination_message("\udc80", tmp_path / "log")


class Nameless(type):
    """The class of classes that don't give their name."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__name__", "__qualname__"):
            raise RuntimeError("no name")
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("name", "module", "shown"),
    [
        ("ValueError", "builtins", "ValueError"),
        ("Größe", "score", "score.Größe"),
        ("Odd\n\x1b[31m\u2028", "score", r"score.Odd\n\x1b[31m\u2028"),
        ("Odd\udcff", "score", r"score.Odd\udcff"),
        ("Odd", 5, "5.Odd"),
        ("Odd", ["score"], "['score'].Odd"),
        ("x" * 10_000, "score", "score." + "x" * 194),
    ],
)
def test_a_class_may_have_any_name(name: str, module: Any, shown: str) -> None:
    kind = type("Odd", (Exception,), {})
    kind.__qualname__, kind.__module__ = name, module

    assert type_name(kind()) == shown
    document = report_exception(
        kind(), stage="init()", script=Path("score.py"), app_root=Path()
    ).to_dict()  # fmt: skip
    assert json.loads(json.dumps(document).encode())["error_type"] == shown


def test_a_class_may_have_no_name() -> None:
    assert type_name(Nameless("Odd", (Exception,), {})()) == "an exception without a name"


@pytest.mark.parametrize("limit", [None, TERMINATION_LIMIT])
def test_a_reference_stays_however_much_is_left_out(limit: int | None) -> None:
    report = Report("init()", "ValueError", "long " * 5000, hint="long " * 5000)
    report.reference = "3f2a9c1b"

    text = report.text(ascii_only=True, limit=limit)

    assert text.startswith("+- scorehost: the entry script did not start (reference 3f2a9c1b) ---")


def failure(folder: Path, source: str) -> EntryScriptError:
    """The error that loading and initialising a script ends in."""
    script = folder / "score.py"
    script.write_text(source + "\n\ndef run(data):\n    return data\n")
    with pytest.raises(EntryScriptError) as caught:
        run_init(load_entry_script(script, folder))
    return caught.value


def _raised_inside_us(error: BaseException) -> BaseException:
    """The error without this test's own frame, which would be the user's."""
    assert error.__traceback__ is not None
    return error.with_traceback(error.__traceback__.tb_next)
