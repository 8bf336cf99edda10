"""The fields of classes that have them: dataclass, attrs, TypedDict.

Packages are recognised by what their classes carry and never imported here.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import sys
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_origin

from scorehost.describing.schema import Schema, fits, plain


class _Missing:
    """Stands for "no default"; None is a default like any other."""


MISSING = _Missing()


@dataclass(frozen=True)
class Field:
    """One field as JSON sees it."""

    name: str
    hint: Any
    default: Any = MISSING
    required: bool = True


def fields_of(found: Any, *, output: bool) -> list[Field] | None:
    """The fields of a class; None when its kind is not known here.

    Parameters
    ----------
    found : the class.
    output : whether its instances are results: then all fields count, not only those that can be
        given, and all of them are present.
    """
    if is_typed_dict(found):
        return list(_of_typed_dict(found))
    own: Iterable[Any]
    nothing: Any
    if dataclasses.is_dataclass(found):
        own, nothing = dataclasses.fields(found), dataclasses.MISSING
    elif hasattr(found, "__attrs_attrs__"):
        own, nothing = found.__attrs_attrs__, getattr(sys.modules.get("attr"), "NOTHING", None)
    else:
        return None
    hints = hints_of(found)
    fields = []
    for field in own:
        name, hint, default = field.name, hints.get(field.name, Any), field.default
        if default is dataclasses.MISSING:
            default = field.default_factory
        if output:
            fields.append(Field(name, hint))
        elif field.init:
            missing = default is nothing
            fields.append(Field(name, hint, MISSING if missing else default, missing))
    return fields


def is_typed_dict(found: Any) -> bool:
    """Whether a class is a ``TypedDict``."""
    return isinstance(found, type) and issubclass(found, dict) and hasattr(found, "__total__")


def _required_keys(found: Any) -> Iterable[str]:
    """Return the keys that are required; Python 3.8 knows no more than whether all of them are."""
    whole: Iterable[str] = found.__annotations__ if found.__total__ else ()
    return getattr(found, "__required_keys__", whole)


def _of_typed_dict(found: Any) -> Iterator[Field]:
    for name, hint in hints_of(found).items():
        # Python before 3.14 overlooks the qualifier when annotations are kept as text.
        qualifier = getattr(get_origin(hint), "_name", None)
        stated = {"Required": True, "NotRequired": False}.get(str(qualifier))
        required = name in _required_keys(found) if stated is None else stated
        yield Field(name, hint, MISSING, required)


def _get_type_hints(found: Any) -> dict[str, Any]:
    """Return the hints with what ``Annotated`` adds to them; Python 3.8 does not know it."""
    if sys.version_info >= (3, 9):
        return typing.get_type_hints(found, include_extras=True)
    return typing.get_type_hints(found)


def hints_of(found: Any) -> dict[str, Any]:
    """The hints of a class or function; those that do not resolve are left out.

    A name imported under ``TYPE_CHECKING`` only is the usual reason for that.
    """
    if not isinstance(found, type) and not inspect.isroutine(found):  # partial(run), an object
        found = getattr(found, "func", None) or type(found).__call__
    try:
        return _get_type_hints(found)
    except Exception:  # any expression of the user's may stand in a hint
        try:
            raw = dict(found.__annotations__)
        except Exception:  # from Python 3.14 on, asking for them evaluates them
            return {}
        return {name: hint for name, hint in raw.items() if not isinstance(hint, str)}


def with_default(schema: Schema, default: Any) -> Schema:
    """The schema with a default, where JSON can say it."""
    value = default.value if isinstance(default, enum.Enum) else default
    sayable = isinstance(value, (bool, int, float, str)) and fits(value, schema)
    if not sayable or "$ref" in schema or value != plain(value):
        return schema
    return {**schema, "default": value}


def docstring(found: type) -> Schema:
    """What its author wrote about a class."""
    text = inspect.cleandoc(found.__doc__ or "")
    generated = text.startswith(f"{found.__name__}(")  # dataclasses and attrs write their own
    return {} if generated or not text else {"description": text}
