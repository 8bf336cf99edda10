"""Scripts that need a newer Python than the one in which they run."""

from __future__ import annotations

import linecache
import re
import sys
from pathlib import Path
from typing import Final

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.frames import kind_of, short_library_path
from scorehost.diagnosis.installed import version_of
from scorehost.diagnosis.own_files import python_files

_MODULES: Final[dict[str, tuple[str, str, str]]] = {
    "annotationlib": ("3.14", "", ""),
    "compression": ("3.14", "", ""),
    "graphlib": ("3.9", "graphlib-backport", "import graphlib"),
    "tomllib": ("3.11", "tomli", "import tomli as tomllib"),
    "zoneinfo": ("3.9", "backports.zoneinfo", "from backports import zoneinfo"),
}
"""Modules of Python's own, the version that brought each, a package that has it for older ones, and
how that is imported."""

_TYPING: Final[dict[str, str]] = {
    "Annotated": "3.9",
    "Concatenate": "3.10",
    "LiteralString": "3.11",
    "Never": "3.11",
    "NotRequired": "3.11",
    "ParamSpec": "3.10",
    "ReadOnly": "3.13",
    "Required": "3.11",
    "Self": "3.11",
    "TypeAlias": "3.10",
    "TypeAliasType": "3.12",
    "TypeGuard": "3.10",
    "TypeIs": "3.13",
    "Unpack": "3.11",
    "assert_never": "3.11",
    "override": "3.12",
}
_NAMES: Final[dict[tuple[str, str], str]] = {
    ("asyncio", "Runner"): "3.11",
    ("asyncio", "TaskGroup"): "3.11",
    ("asyncio", "timeout"): "3.11",
    ("asyncio", "to_thread"): "3.9",
    ("contextlib", "aclosing"): "3.10",
    ("contextlib", "chdir"): "3.11",
    ("datetime", "UTC"): "3.11",
    ("enum", "StrEnum"): "3.11",
    ("functools", "cache"): "3.9",
    ("importlib.resources", "files"): "3.9",
    ("itertools", "batched"): "3.12",
    ("itertools", "pairwise"): "3.10",
    ("math", "lcm"): "3.9",
    ("math", "nextafter"): "3.9",
    ("statistics", "correlation"): "3.10",
    ("statistics", "linear_regression"): "3.10",
    ("types", "EllipsisType"): "3.10",
    ("types", "GenericAlias"): "3.9",
    ("types", "NoneType"): "3.10",
    ("types", "UnionType"): "3.10",
    ("warnings", "deprecated"): "3.13",
}
_ATTRIBUTES: Final[dict[tuple[str, str], str]] = {
    ("str", "removeprefix"): "3.9",
    ("str", "removesuffix"): "3.9",
    ("bytes", "removeprefix"): "3.9",
    ("bytes", "removesuffix"): "3.9",
    ("int", "bit_count"): "3.10",
    ("PosixPath", "is_relative_to"): "3.9",
    ("PosixPath", "readlink"): "3.9",
    ("PosixPath", "walk"): "3.12",
    ("PosixPath", "with_stem"): "3.9",
}
_SYNTAX: Final[tuple[tuple[str, str, str], ...]] = (
    (r"match\s.*:\s*(#.*)?$", "3.10", "The match statement"),
    (r"case\s.*:\s*(#.*)?$", "3.10", "The match statement"),
    (r"except\s*\*", "3.11", "except*"),
    (r"type\s+[A-Za-z_]\w*\s*(\[.*\])?\s*=[^=]", "3.12", "The type statement"),
    (r"(async\s+)?(def\s+\w+|class\s+\w+)\[", "3.12", "A function or class with type parameters"),
    (r"(async\s+)?with\s*\((.*\bas\b|$)", "3.9", "A with statement in brackets"),
)
"""How a line begins, the version that brought that, and what it is called."""


_A_TYPE: Final = r"'(type|ABCMeta|NoneType|TypeVar|str|\w*GenericAlias)'"
_OF_TYPES: Final = re.compile(rf"unsupported operand type\(s\) for \|: {_A_TYPE} and {_A_TYPE}")
_GENERIC: Final = re.compile(
    r"\b(list|dict|tuple|set|frozenset|type|deque|defaultdict|OrderedDict|Counter|ChainMap|Callable"
    r"|(Async)?(Generator|Iterable|Iterator)|Awaitable|Collection|Coroutine|Mapping|MutableMapping"
    r"|MutableSequence|MutableSet|Sequence|Set|Queue|Path(Like)?|Pattern|Match)\["
)
"""Types that take others in brackets from Python 3.9 on."""


_BUILTINS: Final[dict[str, str]] = {
    "BaseExceptionGroup": "3.11",
    "ExceptionGroup": "3.11",
    "aiter": "3.10",
    "anext": "3.10",
}
_ARGUMENTS: Final[dict[str, tuple[str, str]]] = {
    "dataclass() got an unexpected keyword argument 'kw_only'": ("dataclass(kw_only=…)", "3.10"),
    "dataclass() got an unexpected keyword argument 'slots'": ("dataclass(slots=…)", "3.10"),
    "zip() takes no keyword arguments": ("zip(strict=…)", "3.10"),
}


def newer_python(case: Case) -> str:
    """The script, or a package that it imports, uses what a later version of Python brought."""
    found = _found(case)
    libraries = [place.file for place in case.places if kind_of(place.file) == "library"]
    if not found or case.from_user_code or not libraries:
        return found
    package = " ".join(version_of(Path(Path(short_library_path(libraries[-1])).parts[0]).stem))
    needs = found.partition(", and this is ")[0]
    return (
        f"{package.strip() or 'A package'} was written for a newer Python: {needs}, and this is "
        f"Python {_this()}. Install an older version of that package."
    )


def _found(case: Case) -> str:
    return (
        _newer_type(case)
        or _newer_module(case)
        or _newer_name(case)
        or _newer_attribute(case)
        or _newer_builtin(case)
        or _newer_syntax(case)
    )


def _newer_type(case: Case) -> str:
    """``list[int]`` or ``int | None``, evaluated: in a type hint, most often."""
    if not isinstance(case.error, TypeError):
        return ""
    if case.says("'type' object is not subscriptable", "'ABCMeta' object is not subscriptable"):
        if not _GENERIC.search(case.failing_lines):
            return ""  # a class of the user's
        what, since = "A type such as list[int]", "3.9"
    elif "unsupported operand type(s) for |: 'dict' and 'dict'" in case.message:
        return _needs("The | of two dicts", "3.9", " Write {**first, **second}.")
    elif _OF_TYPES.search(case.message):
        what, since = "A type such as int | None", "3.10"
    else:
        return ""
    cure = (
        " In a type hint you can keep it if the file begins with:\n"
        "    from __future__ import annotations"
    )
    return _needs(what, since, cure)


def _newer_module(case: Case) -> str:
    if not isinstance(case.error, ModuleNotFoundError) or case.error.name not in _MODULES:
        return ""
    if case.error.name in {file.stem for each in case.folders() for file in python_files(each)}:
        return ""  # the user's own, in a folder that is not searched
    since, package, line = _MODULES[case.error.name]
    cure = ""
    if package:
        cure = f" A package has it for older ones. Write:\n    {line}\n    pip install {package}"
    return _needs(f"The module {case.error.name}", since, cure)


def _newer_name(case: Case) -> str:
    match = re.search(r"cannot import name '(\w+)' from '([\w.]+)'", case.message)
    match = match or re.search(r"module '([\w.]+)' has no attribute '(\w+)'", case.message)
    if match is None or not isinstance(case.error, (ImportError, AttributeError)):
        return ""
    if kind_of(getattr(case.error, "path", None) or "") == "user":
        return ""  # a file of the user's that has the name of Python's
    is_import = isinstance(case.error, ImportError)
    name, module = match.groups() if is_import else reversed(match.groups())
    if module == "typing":
        cure = (
            f" The package typing_extensions has it too:\n    from typing_extensions import {name}"
        )
        return _needs(f"typing.{name}", _TYPING.get(name, ""), cure)
    return _needs(f"{module}.{name}", _NAMES.get((module, name), ""))


def _newer_attribute(case: Case) -> str:
    match = re.search(r"'(\w+)' object has no attribute '(\w+)'", case.message)
    if match is None or not isinstance(case.error, AttributeError):
        return ""
    kind, name = match.groups()
    shown = "Path" if kind == "PosixPath" else kind
    return _needs(f"{shown}.{name}()", _ATTRIBUTES.get((kind, name), ""))


def _newer_builtin(case: Case) -> str:
    if isinstance(case.error, NameError):
        match = re.search(r"name '(\w+)' is not defined", case.message)
        name = match[1] if match else ""
        return _needs(name, _BUILTINS.get(name, ""))
    if isinstance(case.error, TypeError):
        what, since = next((_ARGUMENTS[text] for text in _ARGUMENTS if case.says(text)), ("", ""))
        return _needs(what, since)
    return ""


def _newer_syntax(case: Case) -> str:
    if not isinstance(case.error, SyntaxError):
        return ""
    error = case.error
    before = linecache.getline(error.filename or "", (error.lineno or 0) - 1)
    # A bracket that opens a line may be noticed in the next one only.
    lines = [(error.text or case.failing_line).strip(), before.strip()]
    for pattern, since, what in _SYNTAX:
        if any(re.match(pattern, line) for line in lines) and (hint := _needs(what, since)):
            return hint
    return ""


def _needs(what: str, since: str, cure: str = "") -> str:
    """Say which Python it takes, if this one is older."""
    if not since or sys.version_info[:2] >= tuple(map(int, since.split("."))):
        return ""
    instead = cure or f" Run the script in Python {since} or later, or do without it."
    return f"{what} needs Python {since} or later, and this is Python {_this()}.{instead}"


def _this() -> str:
    return ".".join(map(str, sys.version_info[:2]))
