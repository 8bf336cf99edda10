"""From what ``run()`` returned to JSON: orjson first, the careful writer when it refuses.

Theory of operation. orjson is ten times faster than anything else and has no choices where we
need them, so a result goes through at most three gates, and most leave by the first:

1. *orjson, plain.* What it does not know it hands to a hook, which takes one step towards JSON
   (``simplify.py``) or writes a number of numpy's.
2. *orjson, with another option*, when the first attempt has shown that the option is needed. Keys
   that are not text need ``OPT_NON_STR_KEYS``, which halves the speed for ordinary keys. Many
   numbers of numpy's need ``OPT_SERIALIZE_NUMPY``; the hook counts what it writes and gives up
   beyond a few. The option is only used where a result holds nothing of numpy's but numbers: it
   writes NaT as a day of 1970, and a unit such as ``15m`` ends the process.
3. *The careful writer* (``json_writer.py``), for whatever orjson refuses: very large integers,
   cycles, values without a JSON form. It is slow, exact, and can say where in the result the
   fault is.

NaN concerns all of them: orjson silently writes ``null`` for it. Where the setting wants something
else, encoded text without any ``null`` is right as it is, and the rest is written again by the
careful writer. Errors leave from outside the ``except`` blocks, so that an error of the
script's does not drag orjson's along as its context.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from scorehost import fast_json
from scorehost.scoring.json_writer import JsonWriter
from scorehost.scoring.simplify import number_writer, orjson_default, simpler

_PLAIN: Final = fast_json.OPT_PASSTHROUGH_DATACLASS
_NUMPY: Final = _PLAIN | fast_json.OPT_SERIALIZE_NUMPY
_KEYS: Final = fast_json.OPT_NON_STR_KEYS

ORDINARY: Final = frozenset({dict, list, str, int, float, bool, tuple})
"""The commonest types of results, which need no closer look."""

_FEW: Final = 1 << 14
"""Bytes of numbers and arrays that may be written one by one."""
_EACH: Final = 1 << 12
"""Bytes that each of them counts for, besides its own."""


class _Many(Exception):
    """The result has so many numpy values that orjson itself should write them."""


class Encoder:
    """Turns any value into JSON, or says where in the value it cannot.

    Parameters
    ----------
    nan : what NaN and infinity become: "null", "literal" (the words) or "error".
    root : what the value is called in the path of an error.
    """

    def __init__(self, nan: str = "null", root: str = "result") -> None:
        self._nan = nan
        self._root = root
        self._null_is_null = nan == "null"
        self._left = 0
        self._hook = self._step

    def encode(self, value: Any) -> bytes:
        """Encode one value.

        Raises
        ------
        ResultNotEncodable
            Something in the value has no JSON form; the error names the path to it.
        """
        self._left = _FEW
        options = _PLAIN if type(value) in ORDINARY else _options_for_one(value)
        try:
            encoded = fast_json.dumps(value, self._hook, options)
        except TypeError as error:
            refusal = error
        else:
            return encoded if self._null_is_null else self._checked(value, encoded)
        return self._otherwise(value, self._hook, options, refusal)

    def _step(self, value: Any) -> Any:
        write = number_writer(type(value))  # type: ignore[arg-type]  # classes are hashable
        if write is None:
            return simpler(value)
        self._left -= _EACH + value.nbytes
        if self._left < 0:
            raise _Many
        written = write(value)
        return simpler(value) if written is None else fast_json.Fragment(written)

    def _checked(self, value: Any, encoded: bytes) -> bytes:
        if b"null" not in encoded:
            return encoded
        return JsonWriter(self._nan, self._root).write(value)

    def _again(self, value: Any, step: Callable[[Any], Any], options: int) -> bytes:
        try:
            encoded = fast_json.dumps(value, step, options)
        except TypeError as error:
            refusal = error
        else:
            if options & _KEYS and b'"null":' in encoded:  # perhaps NaN and infinity, both
                return JsonWriter(self._nan, self._root).write(value)
            return encoded if self._null_is_null else self._checked(value, encoded)
        return self._otherwise(value, step, options, refusal)

    def _otherwise(
        self, value: Any, step: Callable[[Any], Any], options: int, refusal: TypeError
    ) -> bytes:
        cause = refusal.__cause__
        if isinstance(cause, _Many):
            return self._again(value, orjson_default, options | _options_for(value))
        if cause is not None and not isinstance(cause, Exception):
            raise cause  # an interrupt, or sys.exit(), while a value was simplified
        if self._null_is_null and not options & _KEYS and "Dict key" in str(refusal):
            return self._again(value, step, options | _KEYS)
        return JsonWriter(self._nan, self._root).write(value)


def _options_for_one(value: Any) -> int:
    is_number = number_writer(type(value)) is not None  # type: ignore[arg-type]
    return _options_for(value) if is_number else _PLAIN


def _options_for(value: Any) -> int:
    return _NUMPY if _only_numbers()(value) else _PLAIN


@functools.lru_cache(maxsize=1)
def _only_numbers() -> Callable[[Any], bool]:
    """Return ``only_numbers``, imported once: an import takes as long as writing a short list."""
    from scorehost.scoring.numpy_numbers import only_numbers

    return only_numbers
