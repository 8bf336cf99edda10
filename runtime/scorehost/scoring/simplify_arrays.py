"""numpy's arrays and scalars, one step towards JSON. Imported when the first one comes."""

from __future__ import annotations

import base64
from typing import Any, Final

import numpy as np

from scorehost.scoring.durations import duration

_NANOSECONDS: Final = {
    "W": 604_800 * 10**9, "D": 86_400 * 10**9, "h": 3_600 * 10**9, "m": 60 * 10**9,
    "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1,
}  # fmt: skip
_COARSE: Final = frozenset({"Y", "M", "W", "D", "h", "m"})


def of_array(array: Any) -> Any:
    """Bring an array into a form that orjson takes, or into a list one level deep."""
    if isinstance(array, np.ma.MaskedArray):
        return _of_masked(array)
    if type(array) is not np.ndarray:
        return np.asarray(array)  # the rows of a matrix would be matrices again
    if array.ndim == 0:
        return array[()]
    if array.dtype.kind in "iufb":
        return _of_numbers(array)
    if array.ndim > 1:
        return list(array)
    if array.dtype.kind == "M":
        return _of_datetimes(array)
    if array.dtype.names is not None or array.dtype.kind in "mV":
        return [of_scalar(item) for item in array]
    return array.tolist()


def _of_masked(array: Any) -> Any:
    """Write None for what is masked."""
    if array.ndim == 0 and array.dtype.names is not None:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim == 0:
        return None if array.mask else array.data[()]
    return list(array) if array.dtype.kind in "mMV" or _is_short(array) else array.tolist()


def _of_numbers(array: Any) -> Any:
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    if array.dtype == np.longdouble and array.dtype != np.float64:
        with np.errstate(over="ignore"):  # too large for a double is infinite
            return array.astype(np.float64)
    if not array.flags.c_contiguous:
        return np.ascontiguousarray(array)
    return _with_own_digits(array) if _is_short(array) else array.tolist()


def _is_short(array: Any) -> bool:
    """Whether Python's floats would show more digits than these numbers have."""
    return bool(array.dtype.kind == "f" and array.itemsize < 8)


def _with_own_digits(array: Any) -> Any:
    """Return Python's floats with numpy's digits: 0.1 for a float32, not 0.10000000149."""
    return array.astype("U").astype(np.float64).tolist()


def of_scalar(scalar: Any) -> Any:
    """Bring a numpy scalar into a form that Python has."""
    kind = scalar.dtype.kind
    if kind == "m":
        return _of_timedelta(scalar)
    if kind == "M":
        return _of_datetimes(np.atleast_1d(scalar))[0]
    if scalar.dtype.names is not None:
        return {name: scalar[name] for name in scalar.dtype.names}
    if isinstance(scalar, np.void):
        return base64.b64encode(scalar.tobytes()).decode("ascii")
    if kind == "f" and scalar.dtype.itemsize < 8:
        return float(str(scalar))
    if kind in "fV":  # V: a number type that another package brought, such as bfloat16
        return float(scalar)
    return scalar.item()  # Python's type, even of what JSON lacks, such as complex numbers


def _of_timedelta(scalar: Any) -> Any:
    if np.isnat(scalar):
        return None
    unit, step = np.datetime_data(scalar.dtype)
    count = int(scalar.astype(np.int64)) * step
    if unit in {"Y", "M"}:
        return f"{'-' if count < 0 else ''}P{abs(count)}{unit}"
    return duration(count * _NANOSECONDS[unit]) if unit in _NANOSECONDS else count


def _of_datetimes(array: Any) -> list[str | None]:
    """Write datetimes with their time of day, as Python writes its own."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    coarse = np.datetime_data(array.dtype)[0] in _COARSE
    texts = np.datetime_as_string(array, unit="s" if coarse else None)
    return [None if text == "NaT" else _tidy(text) for text in texts.tolist()]


def _tidy(text: str) -> str:
    """Drop a fraction that is all zeros; from one of more than 6 digits, drop zeros at the end."""
    seconds, _, fraction = text.partition(".")
    while len(fraction) > 6 and fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{seconds}.{fraction:0<6}" if fraction.strip("0") else seconds
