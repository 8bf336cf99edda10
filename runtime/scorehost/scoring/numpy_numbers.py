"""Numbers of numpy's that orjson writes, and writes right. Imported when the first one comes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from scorehost import fast_json

_SCALARS: Final = frozenset({
    np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
    np.float16, np.float32, np.float64,
})  # fmt: skip
_LEAVES: Final = _SCALARS | {str, int, float, bool, type(None)}
_CONTAINERS: Final = frozenset({dict, list, tuple})
_INSIDE: Final = _CONTAINERS | {np.ndarray}

NUMBERS: Final = _SCALARS | {np.ndarray}
"""Types of values that :func:`written` can write."""


def only_numbers(value: Any) -> bool:
    """Whether a value holds only plain values, and numbers and arrays of numbers of numpy's.

    Any other type makes this False: it may have datetimes inside.
    """
    seen: set[int] = set()
    left = [value]
    while left:
        item = left.pop()
        kind = type(item)
        if kind is np.ndarray:
            if item.dtype.kind not in "iufb":
                return False
        elif kind not in _CONTAINERS:
            return kind in _LEAVES
        elif id(item) not in seen:  # a value may contain itself
            seen.add(id(item))
            inner: Iterable[Any] = item.values() if kind is dict else item
            others = set(map(type, inner)) - _LEAVES
            if not others <= _INSIDE:
                return False
            if others:
                left += [part for part in inner if type(part) in others]
    return True


def written(value: Any) -> bytes | None:
    """Return the JSON of one of ``NUMBERS``, NaN as null; None if it must be simplified first."""
    if type(value) is np.ndarray and value.dtype.kind not in "iufb":
        return None
    try:
        return fast_json.dumps(value, option=fast_json.OPT_SERIALIZE_NUMPY)
    except TypeError:  # an array that is not in C order, or not in native byte order
        return None
