"""What a value looks like, without saying what is in it: types, shapes, lengths, names.

It is for the error page of debug mode and for logs. It never raises and never shows a value.
"""

from __future__ import annotations

import json
from typing import Any, Final

_MOST_NAMES: Final = 20
_DEEPEST: Final = 4
_LONGEST_JSON: Final = 1 << 20


def shape_of(value: Any) -> Any:
    """Describe a value: an object by its names, anything else in a few words."""
    try:
        return _shape(value, _DEEPEST)
    except Exception:  # len() and attributes of foreign types may do anything
        return type(value).__name__


def _shape(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _of_text(value, depth)
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    if isinstance(value, dict):
        return _of_names(value, depth)
    if isinstance(value, (list, tuple)):
        return _of_list(value, depth)
    if hasattr(value, "dtypes") and hasattr(value, "columns"):
        columns = {str(name): str(dtype) for name, dtype in value.dtypes.items()}
        return {"DataFrame of": f"{len(value)} rows", "columns": columns}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{type(value).__name__} of {value.dtype}, shape {tuple(value.shape)}"
    return type(value).__name__


def _of_text(text: str, depth: int) -> Any:
    kind = f"text of {len(text)} character{'s' * (len(text) != 1)}"
    if depth < _DEEPEST or len(text) > _LONGEST_JSON or text.lstrip()[:1] not in set('{["'):
        return kind
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return f"{kind}, not JSON"
    return {kind: _shape(value, depth - 1)}


def _of_names(value: dict[Any, Any], depth: int) -> Any:
    if not depth:
        return f"object of {len(value)} names"
    shown = {str(key): _shape(value[key], depth - 1) for key in list(value)[:_MOST_NAMES]}
    if len(value) > _MOST_NAMES:
        shown["…"] = f"{len(value) - _MOST_NAMES} more"
    return shown


def _of_list(value: list[Any] | tuple[Any, ...], depth: int) -> Any:
    if not value or not depth:
        return f"list of {len(value)}"
    kinds = {type(item).__name__ for item in value[:1000]}
    inner = _shape(value[0], depth - 1) if len(kinds) == 1 else "/".join(sorted(kinds))
    return f"list of {len(value)}: {inner}" if isinstance(inner, str) else [len(value), inner]
