"""Loading the entry script: reading, importing, and what is left behind."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import traceback
from pathlib import Path

import pytest

from scorehost.entry_script import load_entry_script, run_init
from scorehost.errors import (
    BadSignature,
    InitFailed,
    MissingFunction,
    ModelNotFound,
    ModelPathFailed,
    ScriptImportFailed,
    ScriptUnreadable,
)
from support.scripts import Loader

PLAIN = """
def init():
    pass
def run(data):
    return data
"""


def test_a_plain_script(scripts: Loader):
    script = scripts.load(PLAIN)

    assert script.path == scripts.folder / "score.py"
    assert script.module is sys.modules["score"]
    assert script.run("x") == "x"
    assert (script.style, script.data_parameter) == ("plain", "data")
    assert not script.wants_headers


def test_each_stage_is_told_as_it_begins(scripts: Loader):
    told: list[str] = []

    scripts.load(PLAIN, progress=told.append)

    assert told == ["read", "import", "signature"]


def test_a_script_that_fails_tells_no_later_stage(scripts: Loader):
    told: list[str] = []

    with pytest.raises(ScriptImportFailed):
        scripts.load("1 / 0", progress=told.append)

    assert told == ["read", "import"]


def test_a_relative_path_is_made_absolute(scripts: Loader, monkeypatch: pytest.MonkeyPatch):
    scripts.write(PLAIN)
    monkeypatch.chdir(scripts.folder)

    script = scripts.keep(load_entry_script(Path("score.py"), Path()))

    assert script.path == scripts.folder / "score.py"
    assert script.module.__file__ == str(scripts.folder / "score.py")


# -- sys.path -----------------------------------------------------------------------------


def test_the_app_root_comes_first_then_the_scripts_folder(scripts: Loader):
    scripts.load(PLAIN, "inner/score.py")

    assert sys.path[:2] == [str(scripts.folder), str(scripts.folder / "inner")]


def test_siblings_and_modules_of_the_root_are_imported(scripts: Loader):
    scripts.write("PLACE = 'root'", "in_both.py")
    scripts.write("PLACE = 'folder'", "inner/in_both.py")
    scripts.write("PLACE = 'folder'", "inner/beside.py")

    script = scripts.load("import in_both, beside" + PLAIN, "inner/score.py")

    assert script.module.in_both.PLACE == "root"
    assert script.module.beside.PLACE == "folder"


def test_loading_twice_does_not_repeat_the_folders(scripts: Loader):
    scripts.load(PLAIN)
    scripts.load(PLAIN)

    assert sys.path.count(str(scripts.folder)) == 1


# -- The module ---------------------------------------------------------------------------


def test_the_script_is_a_proper_module(scripts: Loader):
    script = scripts.load(
        """
        from __future__ import annotations
        import dataclasses, inspect, sys

        @dataclasses.dataclass
        class Point:
            x: int

        here = sys.modules[__name__]
        source = inspect.getsource(Point)

        def init(): pass
        def run(data): return Point(1)
        """
    )

    assert script.module.here is script.module
    assert script.module.__name__ == "score"
    assert script.module.__spec__.origin == str(script.path)
    assert "x: int" in script.module.source
    assert pickle.loads(pickle.dumps(script.run(None))) == script.run(None)


def test_main_is_not_run(scripts: Loader):
    scripts.load(PLAIN + "\nif __name__ == '__main__':\n    raise AssertionError")


@pytest.mark.parametrize("named", ["__main__", "score"])
def test_a_pickle_of_the_training_script_finds_the_scripts_class(scripts: Loader, named: str):
    """Training pickled `__main__.Model`; score.py defines a Model of its own."""
    written = b"c" + named.encode() + b"\nModel\n."

    script = scripts.load(
        f"""
        import pickle
        class Model: pass
        found = pickle.loads({written!r})
        def init(): pass
        def run(data): pass
        """
    )

    assert script.module.found is script.module.Model


def test_what_main_has_itself_stays_its_own(scripts: Loader):
    scripts.load("pytest = 'the script' \n" + PLAIN)
    main = sys.modules["__main__"]

    with pytest.raises(AttributeError, match="'__main__' has no attribute 'nowhere'"):
        main.nowhere  # noqa: B018
    assert main.__name__ == "__main__"
    assert not hasattr(main, "__nowhere__")


@pytest.mark.parametrize("name", ["json.py", "pytest.py", "statistics.py"])
def test_the_name_of_another_module_is_not_taken(scripts: Loader, name: str):
    """A loaded module, an installed one, one of Python's: none is replaced by the script."""
    stem = name.removesuffix(".py")
    before = sys.modules.get(stem)

    script = scripts.load(PLAIN, name)

    assert sys.modules.get(stem) is before
    assert script.module.__name__ == f"{stem}_entry_script"
    assert sys.modules[f"{stem}_entry_script"] is script.module


def test_the_same_file_again_is_a_fresh_module_of_the_same_name(scripts: Loader):
    first = scripts.load(PLAIN)
    second = scripts.load(PLAIN.replace("return data", "return 2"))

    assert first.module is not second.module
    assert second.module.__name__ == "score"
    assert second.run("x") == 2


@pytest.mark.parametrize("name", ["my-score.py", "score", "score.v2.py", "Größe.py"])
def test_any_file_name_will_do(scripts: Loader, name: str):
    assert scripts.load(PLAIN, name).run("x") == "x"


def test_a_script_may_replace_itself(scripts: Loader):
    script = scripts.load(
        """
        import sys, types
        other = types.ModuleType("other")
        other.init = lambda: None
        other.run = lambda data: "other"
        sys.modules[__name__] = other
        """
    )

    assert script.run("x") == "other"


def test_what_is_on_disk_runs_whatever_is_cached(scripts: Loader):
    """An edit within the clock's grain, of the same size: no cached code is taken."""
    path = scripts.write(PLAIN.replace("return data", "return 1"))
    stamp = path.stat()
    scripts.load(PLAIN.replace("return data", "return 1"))
    path = scripts.write(PLAIN.replace("return data", "return 2"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert scripts.keep(load_entry_script(path, scripts.folder)).run("x") == 2
    assert not (scripts.folder / "__pycache__").exists()


def test_a_traceback_shows_the_lines_that_ran(scripts: Loader):
    """Even when the file has changed since."""
    script = scripts.load(PLAIN.replace("return data", "raise ValueError  # old line"))
    scripts.write("# a new line\n" * 10)

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - no text
        script.run("x")

    assert "# old line" in "".join(traceback.format_exception(caught.value))


# -- Failing to be read -------------------------------------------------------------------


def test_a_missing_script_names_those_there_are(scripts: Loader):
    scripts.write(PLAIN, "main.py")

    with pytest.raises(ScriptUnreadable) as caught:
        load_entry_script(scripts.folder / "score.py", scripts.folder)

    assert "score.py does not exist" in str(caught.value)
    assert f"Python files in {scripts.folder}: main.py." in str(caught.value)


def test_a_script_in_a_missing_folder_names_what_is_in_the_nearest(scripts: Loader):
    with pytest.raises(ScriptUnreadable, match=f"files in {scripts.folder}: none"):
        load_entry_script(scripts.folder / "a" / "b" / "score.py", scripts.folder)


def test_a_file_that_is_used_as_a_folder(scripts: Loader):
    path = scripts.write(PLAIN)

    with pytest.raises(ScriptUnreadable, match="does not exist"):
        load_entry_script(path / "score.py", scripts.folder)


def test_a_folder_is_no_script(scripts: Loader):
    scripts.write(PLAIN, "score.py/inner.py")

    with pytest.raises(ScriptUnreadable, match=r"is a folder, not a script.*: inner\.py"):
        load_entry_script(scripts.folder / "score.py", scripts.folder)


def test_an_unreadable_script(scripts: Loader):
    path = scripts.folder / "score.py"
    path.symlink_to(path)

    with pytest.raises(ScriptUnreadable, match=r"cannot be read: .*symbolic links"):
        load_entry_script(path, scripts.folder)


@pytest.mark.parametrize(
    ("source", "cause", "line"),
    [
        (b"def init(:\n  pass", SyntaxError, 1),
        (b"def init():\nreturn 1", IndentationError, 2),
        (b"if True:\n\tx = 1\n        y = 2", TabError, 3),
        (b"x = 1\ny = '\xe9'\n", SyntaxError, 2),
        (b"print 'python 2'", SyntaxError, 1),
    ],
)
def test_what_is_not_python_is_told_with_its_line(
    scripts: Loader, source: bytes, cause: type[BaseException], line: int
):
    with pytest.raises(ScriptUnreadable, match=f"not valid Python \\(line {line}\\)") as caught:
        scripts.load(source)

    assert type(caught.value.__cause__) is cause
    assert caught.value.stage == "read"


@pytest.mark.parametrize(
    "source", [b"# coding: klingon\n", b"x = 1\0\n", b"(" * 5000, b"# caf\xe9\n", b"-" * 100_000]
)
def test_what_cannot_be_compiled_at_all(scripts: Loader, source: bytes):
    with pytest.raises(ScriptUnreadable):
        scripts.load(source)


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbf" + PLAIN.encode(),
        b"# -*- coding: latin-1 -*-\nword = '\xe9'" + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.encode() + b"\x0c\n",
    ],
)
def test_encodings_and_line_ends_are_pythons(scripts: Loader, source: bytes):
    assert scripts.load(source).run("x") == "x"


# -- Failing to be imported ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("1 / 0", ZeroDivisionError),
        ("import no_such_module", ModuleNotFoundError),
        ("import sys; sys.exit(3)", SystemExit),
        ("class Panic(BaseException): pass\nraise Panic('native')", BaseException),
        ("raise GeneratorExit", GeneratorExit),
    ],
)
def test_whatever_the_import_raises_is_the_cause(
    scripts: Loader, source: str, cause: type[BaseException]
):
    with pytest.raises(ScriptImportFailed, match=r"importing score\.py raised") as caught:
        scripts.load(source)

    assert isinstance(caught.value.__cause__, cause)
    assert "score" not in sys.modules


def test_an_exception_that_cannot_be_shown(scripts: Loader):
    with pytest.raises(ScriptImportFailed, match=r"raised Mute$"):
        scripts.load("class Mute(Exception):\n  def __str__(self): return 1\nraise Mute")


def test_ctrl_c_is_not_the_scripts_failure(scripts: Loader):
    with pytest.raises(KeyboardInterrupt):
        scripts.load("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        run_init(scripts.load("def init(): raise KeyboardInterrupt\ndef run(data): pass"))


MODEL = "from scorehost.errors import ModelNotFound\n"


def test_a_model_that_does_not_resolve_has_a_stage_of_its_own(scripts: Loader):
    with pytest.raises(ModelPathFailed) as caught:
        scripts.load(MODEL + "raise ModelNotFound('no such model')")
    assert isinstance(caught.value.__cause__, ModelNotFound)
    assert caught.value.stage == "model path"

    script = scripts.load(MODEL + "def init(): raise ModelNotFound('m')\ndef run(data): pass")
    with pytest.raises(ModelPathFailed, match=r"^m$"):
        run_init(script)


# -- init() and run() are there -----------------------------------------------------------


@pytest.mark.parametrize("source", ["", "# nothing\n"])
def test_an_empty_script_defines_nothing(scripts: Loader, source: str):
    with pytest.raises(MissingFunction, match=r"init\(\). Functions found: none") as caught:
        scripts.load(source)
    assert caught.value.stage == "signature"


def test_a_missing_function_lists_the_scripts_own(scripts: Loader):
    source = "from os.path import join\ndef init(): pass\ndef Run(data): pass\nclass run2: pass"

    with pytest.raises(MissingFunction) as caught:
        scripts.load(source)

    assert caught.value.name == "run"
    assert caught.value.found == ("init", "Run")


@pytest.mark.parametrize("name", ["init", "run"])
def test_a_name_that_is_no_function(scripts: Loader, name: str):
    with pytest.raises(BadSignature, match=f"^{name}: it is not a function but a int"):
        scripts.load(PLAIN + f"\n{name} = 5")


def test_the_run_of_a_driver_module_is_called(scripts: Loader):
    script = scripts.named("wrapper.py")

    assert script.run.__module__ == "wrapped_by_wrapper"
    assert script.module.initialised == ["wrapper"]
    assert script.data_parameter == "payload"


@pytest.mark.parametrize("driver", ["None", "'text'", "__import__('os')"])
def test_a_driver_module_without_run_is_no_driver(scripts: Loader, driver: str):
    assert scripts.load(PLAIN + f"\ndriver_module = {driver}").run("x") == "x"


def test_a_wrapper_needs_no_run_of_its_own(scripts: Loader):
    scripts.write(PLAIN.replace("return data", "return 'driven'"), "driven.py")

    script = scripts.load("import driven as driver_module\ndef init(): pass")

    assert script.run("x") == "driven"


# -- init() -------------------------------------------------------------------------------


def test_init_runs_once_when_it_is_told_to(scripts: Loader):
    script = scripts.load("calls = []\ndef init(): calls.append(1)\ndef run(data): pass")

    assert script.module.calls == []
    run_init(script)
    assert script.module.calls == [1]


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("1 / 0", ZeroDivisionError),
        ("import sys; sys.exit('bye')", SystemExit),
        ("raise BaseException('panic')", BaseException),
    ],
)
def test_whatever_init_raises_is_the_cause(scripts: Loader, body: str, cause: type[BaseException]):
    script = scripts.load(f"def init(): {body}\ndef run(data): pass")

    with pytest.raises(InitFailed, match=r"init\(\) raised") as caught:
        run_init(script)

    assert isinstance(caught.value.__cause__, cause)


def test_an_asynchronous_init_is_awaited(scripts: Loader):
    script = scripts.load(
        """
        import asyncio
        done = []
        async def init():
            await asyncio.sleep(0)
            done.append(asyncio.get_running_loop())
        async def run(data):
            return asyncio.get_running_loop() is done[0]
        """
    )

    run_init(script)

    assert isinstance(script.module.done[0], asyncio.AbstractEventLoop)
    assert script.loop.complete(script.run("x")) is True


def test_an_asynchronous_init_that_fails(scripts: Loader):
    script = scripts.load("async def init(): 1 / 0\ndef run(data): pass")

    with pytest.raises(InitFailed) as caught:
        run_init(script)

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
