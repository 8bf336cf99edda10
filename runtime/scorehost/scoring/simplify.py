"""One step from any value towards JSON: an array to a list, a data frame to records.

===========================================  ==================================================
value                                        becomes
===========================================  ==================================================
numpy array, scalar                          (nested) list, number; structured: object by field
pandas DataFrame                             list of records, ``[{"column": value}, …]``
pandas Series, Index, Categorical, array     list of values
pandas NA, NaT, numpy NaT                    null
torch tensor, and other arrays               (nested) list
datetime, date, time, Timestamp, datetime64  text, ISO 8601
timedelta, Timedelta, timedelta64            text, ISO 8601 duration: ``P1DT2H30M``
Decimal                                      number, with exactly its digits
UUID, path                                   text
Enum                                         its value
bytes, bytearray, memoryview                 text, base64
set, frozenset                               list, sorted where that is possible
dataclass, pydantic model                    object by field (pydantic: by alias)
other mappings and sequences                 object, list
===========================================  ==================================================

No library is imported for this: a value of its type exists only where the script imported it.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import functools
import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence, Set, ValuesView
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from scorehost import fast_json
from scorehost.scoring.durations import duration

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Step: TypeAlias = "Callable[[Any], Any]"


class NoJsonForm(Exception):
    """A value has no JSON form; the text says what it is."""


class Verbatim(str):
    """JSON text that goes into the result as it is."""

    __slots__ = ()


def simplify(value: Any) -> Any:
    """Make one step from a value towards JSON.

    Raises
    ------
    NoJsonForm
        There is no such step.
    """
    step = _EXACT.get(type(value))
    if step is not None:
        return step(value)
    return _step_for(type(value))(value)  # type: ignore[arg-type]  # classes are hashable


def orjson_default(value: Any) -> Any:
    """Make one step as orjson asks for it, numbers of numpy's in bulk."""
    write = number_writer(type(value))  # type: ignore[arg-type]  # classes are hashable
    written = None if write is None else write(value)
    return simpler(value) if written is None else fast_json.Fragment(written)


def simpler(value: Any) -> Any:
    """Make one step like :func:`simplify`, with verbatim text in the form that orjson knows."""
    step = simplify(value)
    return fast_json.Fragment(step) if type(step) is Verbatim else step


@functools.lru_cache(maxsize=1024)
def number_writer(kind: type) -> Callable[[Any], bytes | None] | None:
    """Find what writes numbers of one of numpy's types in bulk; None for all other types."""
    if kind.__module__ != "numpy" or not hasattr(sys.modules.get("numpy"), "ndarray"):
        return None
    if not fast_json.IS_ORJSON:
        return None
    from scorehost.scoring.numpy_numbers import NUMBERS, written

    return written if kind in NUMBERS else None


@functools.lru_cache(maxsize=1024)
def _step_for(kind: type) -> Step:
    """Find the step for a type. A refusal is an exception, which the cache does not keep."""
    for name, steps_of in _LIBRARIES.items():
        step = _step_of_library(sys.modules.get(name), steps_of, kind)
        if step is not None:
            return step
    for base, step in _BASES:
        if issubclass(kind, base):
            return step
    step = _step_for_records(kind)
    if step is not None:
        return step
    for base, step in _INTERFACES:
        if issubclass(kind, base):
            return step
    raise NoJsonForm(f"object of type {kind.__name__} has no JSON form{_advice(kind)}")


def _step_of_library(
    library: ModuleType | None, steps_of: Callable[[ModuleType, type], Step | None], kind: type
) -> Step | None:
    try:
        return None if library is None else steps_of(library, kind)
    except AttributeError:  # a module of the script's that only has the library's name
        return None


def _step_for_records(kind: type) -> Step | None:
    if dataclasses.is_dataclass(kind):
        names = tuple(field.name for field in dataclasses.fields(kind))
        return lambda value: {name: getattr(value, name) for name in names}
    if hasattr(kind, "model_dump"):
        return _of_pydantic
    if hasattr(kind, "__fields_set__"):
        return lambda value: value.dict(by_alias=True)  # pydantic 1
    if hasattr(kind, "__array__") and "numpy" in sys.modules:
        return cast("Step", sys.modules["numpy"].asarray)
    return None


def _advice(kind: type) -> str:
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__"):
        return "; inside a result, convert it to a list (only the result itself may be a generator)"
    if issubclass(kind, complex):
        return "; return its real and imaginary parts"
    if hasattr(kind, "toarray"):
        return "; return its toarray()"
    return "; return what it holds as numbers, text, lists or dicts"


# -- Python's own -------------------------------------------------------------------------


def _of_decimal(value: decimal.Decimal) -> Any:
    if value.is_finite():
        return Verbatim(value)
    if value.is_nan():
        return float("nan")
    return float(value)


def _of_bytes(value: Any) -> str:
    return base64.b64encode(value).decode("ascii")


def _of_set(value: Any) -> list[Any]:
    try:
        return sorted(value)
    except TypeError:
        return list(value)


def _of_time(value: Any) -> str:
    return str(value.isoformat())


def _of_timedelta(value: datetime.timedelta) -> str:
    micros = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    return duration(micros * 1000 + getattr(value, "nanoseconds", 0))


def _of_pydantic(value: Any) -> Any:
    try:
        return value.model_dump(mode="json", by_alias=True)
    except ValueError:  # a field that pydantic has no JSON form for, such as an array
        return value.model_dump(mode="python", by_alias=True)


# -- libraries ----------------------------------------------------------------------------


def _numpy_step(numpy: ModuleType, kind: type) -> Step | None:
    if not issubclass(kind, (numpy.ndarray, numpy.generic)):
        return None
    from scorehost.scoring.simplify_arrays import of_array, of_scalar

    return of_array if issubclass(kind, numpy.ndarray) else of_scalar


def _pandas_step(pandas: ModuleType, kind: type) -> Step | None:
    if kind in (type(pandas.NA), type(pandas.NaT)):
        return lambda _missing: None
    if issubclass(kind, pandas.DataFrame):
        return _records
    if issubclass(kind, (pandas.Series, pandas.Index)):
        return lambda value: value.tolist()
    if issubclass(kind, pandas.api.extensions.ExtensionArray):
        return list
    return str if issubclass(kind, (pandas.Period, pandas.Interval)) else None


def _records(frame: Any) -> list[dict[Any, Any]]:
    names = frame.columns.tolist()
    if len(set(names)) < len(names):
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        raise NoJsonForm(f"DataFrame with duplicate column names: {', '.join(twice)}")
    columns = [frame.iloc[:, index].tolist() for index in range(len(names))]
    if not columns:
        return [{} for _ in range(len(frame))]
    return [dict(zip(names, row)) for row in zip(*columns)]


def _of_tensor(value: Any) -> Any:
    tensor = value.detach().cpu()
    if getattr(tensor, "is_sparse", False):
        tensor = tensor.to_dense()
    try:
        return tensor.numpy()
    except (TypeError, RuntimeError):  # bfloat16, which numpy lacks; or no numpy at all
        return tensor.tolist()


_LIBRARIES: Final[dict[str, Callable[[ModuleType, type], Step | None]]] = {
    "numpy": _numpy_step,
    "pandas": _pandas_step,
    "torch": lambda torch, kind: _of_tensor if issubclass(kind, torch.Tensor) else None,
}

_EXACT: Final[dict[type, Step]] = {
    bytes: _of_bytes,
    bytearray: _of_bytes,
    memoryview: _of_bytes,
    set: _of_set,
    frozenset: _of_set,
    decimal.Decimal: _of_decimal,
    datetime.timedelta: _of_timedelta,
    datetime.datetime: datetime.datetime.isoformat,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    uuid.UUID: str,
}

_BASES: Final[tuple[tuple[type, Step], ...]] = (
    (enum.Enum, lambda value: value.value),
    (str, str.__str__),
    (float, float.__float__),
    (int, int.__int__),
    (tuple, list),
    (bytes, _of_bytes),
    (bytearray, _of_bytes),
    (datetime.date, _of_time),  # datetimes too
    (datetime.time, _of_time),
    (datetime.timedelta, _of_timedelta),
    (decimal.Decimal, _of_decimal),
    (uuid.UUID, str),
    (dict, dict),
    (list, list),
    (os.PathLike, os.fspath),
)
"""Subclasses, the specific before the general. A named tuple is a list, as everywhere."""

_INTERFACES: Final[tuple[tuple[type, Step], ...]] = (
    (Mapping, dict),
    (Sequence, list),
    (Set, list),
    (ValuesView, list),
)
