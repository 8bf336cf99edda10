"""Scripts that need a newer Python: the hint, in every Python that is older, and in no other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.pythons import environment
from support.server import clean_environment

RUNTIME = Path(__file__).parents[2] / "runtime"

NEWER = [
    ("x: list[int] = []", "3.9", "A type such as list[int] needs Python 3.9"),
    ("def run(d: dict[str, float]): pass", "3.9", "from __future__ import annotations"),
    ("import collections.abc\nx = collections.abc.Sequence[int]", "3.9", "list[int] needs"),
    ("def run(d: int | None): pass", "3.10", "A type such as int | None needs Python 3.10"),
    ("from typing import Optional\nx = Optional[int] | str", "3.10", "int | None needs"),
    ("import zoneinfo", "3.9", "pip install backports.zoneinfo"),
    ("import tomllib", "3.11", "import tomli as tomllib\n    pip install tomli"),
    ("{1: 1} | {2: 2}", "3.9", "{**first, **second}"),
    (
        "import contextlib\nwith (contextlib.nullcontext() as a, contextlib.nullcontext()):\n    a",
        "3.9",
        "A with statement in brackets",
    ),
    ("from typing import TypeAlias", "3.10", "from typing_extensions import TypeAlias"),
    ("import typing\ntyping.Self", "3.11", "typing.Self needs Python 3.11"),
    ("from functools import cache", "3.9", "functools.cache needs Python 3.9"),
    ("from datetime import UTC", "3.11", "datetime.UTC needs Python 3.11"),
    ("import itertools\nitertools.pairwise([])", "3.10", "itertools.pairwise needs Python 3.10"),
    ("'a.b'.removesuffix('.b')", "3.9", "str.removesuffix() needs Python 3.9"),
    ("from pathlib import Path\nPath('a').is_relative_to('b')", "3.9", "Path.is_relative_to()"),
    ("match 1:\n    case 1:\n        pass", "3.10", "The match statement needs Python 3.10"),
    ("try:\n    pass\nexcept* ValueError:\n    pass", "3.11", "except* needs Python 3.11"),
    ("async def f(): await anext(g)\nanext", "3.10", "anext needs Python 3.10"),
    ("ExceptionGroup", "3.11", "ExceptionGroup needs Python 3.11"),
    ("list(zip([], strict=True))", "3.10", "zip(strict=…) needs Python 3.10"),
    (
        "import dataclasses\n@dataclasses.dataclass(slots=True)\nclass A: pass",
        "3.10",
        "dataclass(slots=…) needs Python 3.10",
    ),
    ("type X = int", "3.12", "The type statement needs Python 3.12"),
    ("def first[T](items: T): pass", "3.12", "with type parameters needs Python 3.12"),
]

OTHER = [
    "x = (1)[0]",
    "1 | 'a'",
    "import no_such_module",
    "from typing import NoSuchName",
    "from functools import no_such_name",
    "''.no_such_method()",
    "match 1 2",
    "type = = 1",
    "None[0]",
    "class A: pass\nA[0]",
    "3 | int",
    "type x == 3",
    "zip(1)",
    "anexts",
]
"""Other mistakes, which look alike."""

ASK = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from scorehost.diagnosis.case import Case
from scorehost.diagnosis.frames import Frame
from scorehost.diagnosis.newer_python import newer_python

def hint(source):
    try:
        exec(compile(source, "score.py", "exec"), {})
    except Exception as error:
        frames = [Frame("score.py", 1, "", tuple(enumerate(source.split("\\n"), 1)))]
        return newer_python(Case(error, "import", Path("score.py"), Path("."), frames))
    return None

print(json.dumps([hint(source) for source in json.load(sys.stdin)]))
"""


def hints(version: str, sources: list[str]) -> list[str | None]:
    """What each piece of source gets in a Python: a hint, "" for an error without, or None."""
    python = environment(version, "bare") / "bin" / "python"
    done = subprocess.run(
        [str(python), "-c", ASK, str(RUNTIME)], input=json.dumps(sources), capture_output=True,
        env=clean_environment(), text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_each_is_told_where_it_is_too_old(version: str) -> None:
    found = hints(version, [source for source, _, _ in NEWER])

    for (source, since, expected), hint in zip(NEWER, found, strict=True):
        if number(version) < number(since):
            assert expected in (hint or ""), source
            assert f"and this is Python {version}" in (hint or "")
        else:
            assert hint is None, source


def test_other_mistakes_are_not(version: str) -> None:
    found = hints(version, OTHER)

    assert {source: hint for source, hint in zip(OTHER, found, strict=True) if hint} == {}


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
