"""Schemas from numpy's typing: ``NDArray[np.float32]``, ``ndarray[tuple[int, Literal[4]], …]``.

numpy is recognised by its names and never imported here: a script that uses it has imported
it. A shape may also stand beside the type: ``Annotated[NDArray[np.float32], (None, 4)]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args, get_origin

from scorehost.describing.schema import Schema

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Shape: TypeAlias = "Sequence[int | None]"

_ELEMENTS: dict[str, Schema] = {
    # numpy's own class tree, from the particular to the general; the first match counts.
    "bool": {"type": "boolean"},
    "bool_": {"type": "boolean"},
    "float64": {"type": "number", "format": "double"},
    "float32": {"type": "number", "format": "float"},
    "int64": {"type": "integer", "format": "int64"},
    "int32": {"type": "integer", "format": "int32"},
    "unsignedinteger": {"type": "integer", "minimum": 0},
    "timedelta64": {},  # an integer to numpy, not to JSON
    "integer": {"type": "integer"},
    "floating": {"type": "number"},
    "number": {"type": "number"},
    "str_": {"type": "string"},
    "bytes_": {"type": "string"},
    "datetime64": {"type": "string", "format": "date-time"},
}


def is_array(hint: Any) -> bool:
    """Whether a hint is numpy's array, with or without its parameters."""
    found = get_origin(hint) or hint
    return getattr(found, "__module__", "") == "numpy" and found.__name__ == "ndarray"


def scalar_schema(hint: Any) -> Schema | None:
    """Describe a numpy scalar type; None when the hint is not one."""
    tree = getattr(hint, "__mro__", ())
    if not any(base.__module__ == "numpy" and base.__name__ == "generic" for base in tree):
        return None
    for base in tree:
        if base.__module__ == "numpy" and base.__name__ in _ELEMENTS:
            return dict(_ELEMENTS[base.__name__])
    return {}


def array_schema(hint: Any, beside: Sequence[Any] = ()) -> Schema:
    """Describe an array.

    Parameters
    ----------
    hint : numpy's ``ndarray``, with or without its parameters.
    beside : what stood beside it in ``Annotated``: a shape, a scalar type, or neither.
    """
    shape, element = _parameters(hint)
    for item in beside:
        stated = _stated_shape(item)
        if stated is not None:
            shape = stated
        element = scalar_schema(item) or element
    return nested(element, shape)


def nested(element: Schema, shape: Shape | None) -> Schema:
    """Nest arrays in arrays; a shape of None leaves their depth open."""
    if shape is None:
        schema: Schema = {"type": "array", "items": {}}
        if "type" in element:
            schema["description"] = f"An array of {element['type']} values, nested to any depth."
        return schema
    schema = element
    for length in reversed(shape):
        schema = {"type": "array", "items": schema}
        if length is not None:
            schema.update(minItems=length, maxItems=length)
    return schema


def _parameters(hint: Any) -> tuple[Shape | None, Schema]:
    shape: Shape | None = None
    element: Schema = {}
    for argument in get_args(hint):
        if get_origin(argument) is tuple:
            shape = _typed_shape(get_args(argument))
        elif getattr(get_origin(argument), "__name__", "") == "dtype":
            element = scalar_schema(get_args(argument)[0]) or {}
    return shape, element


def _typed_shape(arguments: tuple[Any, ...]) -> Shape | None:
    """Lengths out of ``tuple[int, Literal[4]]``; None for ``tuple[Any, ...]``."""
    if Ellipsis in arguments:
        return None
    return [_length(get_args(argument)[:1]) for argument in arguments]


def _stated_shape(item: Any) -> Shape | None:
    """Lengths out of ``(None, 4)``; None when the item is not a shape."""
    if not isinstance(item, (tuple, list)) or not item:
        return None
    if not all(length is None or isinstance(length, (int, str)) for length in item):
        return None
    return [_length((length,)) for length in item]


def _length(found: Sequence[Any]) -> int | None:
    length = found[0] if found else None
    known = isinstance(length, int) and not isinstance(length, bool) and length >= 0
    return length if known else None
