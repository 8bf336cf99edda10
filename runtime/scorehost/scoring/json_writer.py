"""The careful JSON writer: any value, any depth, and where it fails the path to the place.

It is used when orjson refuses a value, which is rare, and for NaN as a word or an error. It
keeps its own stack, so that depth is bounded by a number and not by the interpreter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring as quoted
from math import isfinite, isnan
from typing import Any, Final

from scorehost.errors import ResultNotEncodable
from scorehost.scoring.simplify import NoJsonForm, Verbatim, number_writer, simplify

DEEPEST: Final = 10_000
"""Levels of nesting; no parser reads more, and a value that generates its parts has no end."""

_MOST_STEPS: Final = 100
_LONGEST_PATH: Final = 200


class _Level:
    """A container that is being written."""

    __slots__ = ("container", "entries", "key", "named", "started")

    def __init__(self, container: Any, entries: Iterator[tuple[Any, Any]], named: bool) -> None:
        self.container, self.entries, self.named = container, entries, named
        self.key: Any = None
        self.started = False


class JsonWriter:
    """Writes one value; use a new one for the next.

    Parameters
    ----------
    nan : what NaN and infinity become: "null", "literal" or "error".
    root : what the value is called in the path of an error.
    """

    def __init__(self, nan: str, root: str = "result") -> None:
        self._nan = nan
        self._root = root
        self._out: list[str] = []
        self._levels: list[_Level] = []
        self._open: set[int] = set()

    def write(self, value: Any) -> bytes:
        """Write the value as UTF-8; lone surrogates as escapes.

        Raises
        ------
        ResultNotEncodable
            Something in the value has no JSON form.
        """
        try:
            self._begin(value)
            while self._levels:
                self._go_on(self._levels[-1])
        except NoJsonForm as error:
            raise ResultNotEncodable(self._path(), str(error)) from None
        text = "".join(self._out)
        # A surrogate can stand only inside quotes, where Python's escape is also JSON's.
        return text.encode("utf-8", "backslashreplace")

    def _go_on(self, level: _Level) -> None:
        entry = next(level.entries, None)
        if entry is None:
            self._end(level)
            return
        if level.started:
            self._out.append(",")
        level.started = True
        level.key = entry[0]
        if level.named:
            self._out.append(quoted(_key_text(entry[0])) + ":")
        self._begin(entry[1])

    def _begin(self, value: Any) -> None:
        """Write a value without parts, or open a container."""
        for _ in range(_MOST_STEPS):
            kind = type(value)
            if kind is list or kind is tuple:
                self._enter(value, enumerate(value), named=False)
                return
            if kind is dict:
                self._enter(value, iter(value.items()), named=True)
                return
            text = self._atom(value)
            if text is not None:
                self._out.append(text)
                return
            value = self._simpler(value)
        steps = f"after {_MOST_STEPS} conversions"
        raise NoJsonForm(f"object of type {kind.__name__} is still not a JSON value {steps}")

    def _atom(self, value: Any) -> str | None:
        """Return the text of a value without parts; None for any other value."""
        kind = type(value)
        if kind is str:
            return quoted(value)
        if kind is float:
            return float.__repr__(value) if isfinite(value) else self._not_finite(value)
        if value is None:
            return "null"
        if kind is bool:
            return "true" if value else "false"
        if kind is int:
            return _digits(value)
        return value if kind is Verbatim else None

    def _simpler(self, value: Any) -> Any:
        ready = self._number_text(value)
        if ready is not None:
            return ready
        try:
            return simplify(value)
        except NoJsonForm:
            raise
        except Exception as error:  # a property or serializer of the script's
            problem = f"{type(value).__name__} cannot be converted to JSON: {type(error).__name__}"
            raise ResultNotEncodable(self._path(), f"{problem}: {error}") from error

    def _number_text(self, value: Any) -> Verbatim | None:
        """Return the text of numpy's numbers where orjson writes what the settings ask for."""
        write = number_writer(type(value))  # type: ignore[arg-type]  # classes are hashable
        if write is None:
            return None
        written = write(value)
        if written is None or (self._nan != "null" and b"null" in written):
            return None
        return Verbatim(written, "ascii")

    def _enter(self, container: Any, entries: Iterable[tuple[Any, Any]], named: bool) -> None:
        if id(container) in self._open:
            raise NoJsonForm(f"{type(container).__name__} that contains itself")
        if len(self._levels) >= DEEPEST:
            raise NoJsonForm(f"nested more than {DEEPEST} levels deep")
        self._open.add(id(container))
        self._levels.append(_Level(container, iter(entries), named))
        self._out.append("{" if named else "[")

    def _end(self, level: _Level) -> None:
        self._levels.pop()
        self._open.discard(id(level.container))
        self._out.append("}" if level.named else "]")

    def _not_finite(self, value: float) -> str:
        word = _word(value)
        if self._nan == "error":
            raise NoJsonForm(f"{word} is not a JSON number (SCOREHOST_NAN is set to error)")
        return word if self._nan == "literal" else "null"

    def _path(self) -> str:
        steps = [_step(level) for level in self._levels if level.started]
        path = self._root + "".join(steps)
        if len(path) <= _LONGEST_PATH:
            return path
        return f"{path[:_LONGEST_PATH]}… ({len(steps)} levels deep)"


def _step(level: _Level) -> str:
    key = level.key
    if level.named and isinstance(key, str) and key.isidentifier():
        return f".{key}"
    return f"[{key!r}]"


def _word(value: float) -> str:
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python writes no more than sys.get_int_max_str_digits()
        raise NoJsonForm(f"int of {value.bit_length()} bits is too long to write") from None


def _key_text(key: Any) -> str:
    """Return a key as text, as JSON has no other keys."""
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return float.__repr__(key) if isfinite(key) else _word(key)
    try:
        simpler = simplify(key)
    except NoJsonForm:
        simpler = key
    if simpler is None or isinstance(simpler, (str, int, float)):
        return _key_text(simpler)
    raise NoJsonForm(f"key of type {type(key).__name__}; keys must be text, numbers or dates")
