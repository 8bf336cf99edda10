"""Numbers of numpy's that orjson writes, and writes right. Imported when the first one comes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import orjson

_SCALARS: Final = frozenset(
    {
        np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
        np.float16, np.float32, np.float64,
    }
)  # fmt: skip
_LEAVES: Final = _SCALARS | {str, int, float, bool, type(None)}
_CONTAINERS: Final = frozenset({dict, list, tuple})
_INSIDE: Final = _CONTAINERS | {np.ndarray}

NUMBERS: Final = _SCALARS | {np.ndarray}
"""Types of what :func:`written` may write."""


def only_numbers(value: Any) -> bool:
    """Whether all that is in a value is plain, or a number or an array of numbers of numpy's.

    Anything else counts as no: it may have datetimes inside.
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
        elif id(item) not in seen:  # what contains itself has an end here
            seen.add(id(item))
            inner: Iterable[Any] = item.values() if kind is dict else item
            others = set(map(type, inner)) - _LEAVES
            if not others <= _INSIDE:
                return False
            if others:
                left += [part for part in inner if type(part) in others]
    return True


def written(value: Any) -> bytes | None:
    """The JSON of one of ``NUMBERS``, NaN as null; None if it is to be simplified first."""
    if type(value) is np.ndarray and value.dtype.kind not in "iufb":
        return None
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # an array in another order than C's, or its bytes in another
        return None
