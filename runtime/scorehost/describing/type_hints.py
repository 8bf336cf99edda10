"""Schemas from type hints: containers, unions, numpy, dataclass, TypedDict, pydantic.

Says what a hint says and no more: a class that is not known gives ``{}``, and its name is kept
for the reason. Packages are recognised by what their classes carry and never imported here.
"""

from __future__ import annotations

import collections.abc
import datetime
import enum
import inspect
import json
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from scorehost.describing.arrays import array_schema, is_array, scalar_schema
from scorehost.describing.fields import (
    docstring,
    fields_of,
    hints_of,
    is_typed_dict,
    with_default,
)
from scorehost.describing.schema import REF, Definitions, Schema, any_of, json_type, plain, ref
from scorehost.older_python import without_prefix

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

_ANY_ARRAY: Schema = {"type": "array", "items": {}}
_BASE64: Schema = {"type": "string", "contentEncoding": "base64"}
_SIMPLE: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: _BASE64,
    bytearray: _BASE64,
    datetime.datetime: {"type": "string", "format": "date-time"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.time: {"type": "string", "format": "time"},
    datetime.timedelta: {"type": "string", "format": "duration"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    list: _ANY_ARRAY,
    tuple: _ANY_ARRAY,
    set: _ANY_ARRAY,
    frozenset: _ANY_ARRAY,
    dict: {"type": "object"},
}
_SEQUENCES = (
    list,
    set,
    frozenset,
    collections.deque,
    collections.abc.Collection,
    collections.abc.Iterable,
    collections.abc.MutableSequence,
    collections.abc.Sequence,
    collections.abc.Set,
)
_UNION = getattr(types, "UnionType", typing.Union)
"""Of ``A | B``, from Python 3.10 on."""
_QUALIFIERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final", "ClassVar"})
_OF_TYPING = frozenset({"typing", "typing_extensions", "types", "collections.abc"})
_FOREIGN: dict[tuple[str, str], Schema] = {
    ("decimal", "Decimal"): {"type": "number"},
    ("pandas", "DataFrame"): {"type": "array", "items": {"type": "object"}},
    ("pandas", "Series"): _ANY_ARRAY,
    ("torch", "Tensor"): _ANY_ARRAY,
}
_CONSTRAINTS = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "description": "description",
}

Maker: TypeAlias = "Callable[[Any, str], Schema]"


class HintReader:
    """Turns hints into schemas; classes with fields become named ones in ``definitions``.

    Parameters
    ----------
    definitions : where the named ones go.
    output : whether values leave through these hints: then every field is there.
    """

    def __init__(self, definitions: Definitions, *, output: bool = False) -> None:
        self.definitions, self.output = definitions, output
        self.unknown: list[str] = []

    def read(self, hint: Any) -> Schema:
        if hint is inspect.Parameter.empty or hint is Any or hint is object:
            return {}
        if _hashable(hint) and hint in _SIMPLE:
            return dict(_SIMPLE[hint])
        if is_array(hint):
            return array_schema(hint)
        special = self._special(hint)
        return special if special is not None else self._class(get_origin(hint) or hint)

    # -- typing's own forms ---------------------------------------------------------------
    def _special(self, hint: Any) -> Schema | None:
        origin, arguments = get_origin(hint), get_args(hint)
        if hasattr(hint, "__metadata__"):
            return self._annotated(hint.__origin__, hint.__metadata__)
        if origin is typing.Union or origin is _UNION:
            return any_of([self.read(argument) for argument in arguments])
        if origin is typing.Literal:
            return enumeration(arguments)
        if hasattr(hint, "__supertype__"):  # NewType
            return self.read(hint.__supertype__)
        if type(hint).__name__ == "TypeAliasType":  # `type X = …`, from Python 3.12 on
            return self.read(hint.__value__)
        if type(hint).__name__ == "InitVar":
            return self.read(hint.type)
        if getattr(origin, "_name", None) in _QUALIFIERS:
            return self.read(arguments[0])
        return self._container(origin or hint, arguments)

    def _container(self, origin: Any, arguments: tuple[Any, ...]) -> Schema | None:
        if origin is tuple:
            return self._tuple(arguments)
        if origin in _SEQUENCES:
            return {"type": "array", "items": self.read(arguments[0]) if arguments else {}}
        if _is_mapping(origin):
            values = self.read(arguments[1]) if len(arguments) == 2 else {}
            return {"type": "object", **({"additionalProperties": values} if values else {})}
        return None

    def _tuple(self, arguments: tuple[Any, ...]) -> Schema:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return {"type": "array", "items": self.read(arguments[0])}
        if arguments == ((),):  # of Tuple[()], before Python 3.11
            arguments = ()
        items = [self.read(argument) for argument in arguments]
        length = {"minItems": len(items), "maxItems": len(items)}
        return {"type": "array", **({"prefixItems": items} if items else {"items": {}}), **length}

    def _annotated(self, inner: Any, beside: tuple[Any, ...]) -> Schema:
        if is_array(inner):
            return array_schema(inner, beside)
        schema = self.read(inner)
        extra = constraints(beside, array=schema.get("type") == "array")
        return {"allOf": [schema], **extra} if extra and "$ref" in schema else {**schema, **extra}

    # -- classes --------------------------------------------------------------------------
    def _class(self, found: Any) -> Schema:
        if not isinstance(found, type):
            return self._not_known(found)
        if issubclass(found, enum.Enum):
            return enumeration(found)
        if (maker := self._maker(found)) is not None:
            return self._named(found, maker)
        if (scalar := scalar_schema(found)) is not None:
            return scalar
        foreign = _FOREIGN.get((found.__module__.partition(".")[0], found.__name__))
        return dict(foreign) if foreign is not None else self._subclass(found)

    def _subclass(self, found: type) -> Schema:
        for base in (int, float, str):
            if issubclass(found, base):
                return dict(_SIMPLE[base])
        if issubclass(found, pathlib.PurePath):
            return {"type": "string"}
        if issubclass(found, tuple) and hasattr(found, "_fields"):
            return self._tuple(tuple(hints_of(found).values()))
        return self._not_known(found)

    def _not_known(self, found: Any) -> Schema:
        name = getattr(found, "__qualname__", None)
        if name is None:  # a hint may be any object, whose own text is not for everybody
            kind = type(found)
            of_typing = kind is str or kind.__module__ in _OF_TYPING
            name = str(found) if of_typing else kind.__qualname__
        self.unknown.append(name)
        return {}

    def _maker(self, found: Any) -> Maker | None:
        if hasattr(found, "model_json_schema"):
            return self._pydantic
        if hasattr(found, "__fields__") and hasattr(found, "schema"):
            return self._pydantic_1
        known = fields_of(found, output=self.output) is not None
        return self._object if known else None

    def _named(self, found: type, make: Maker) -> Schema:
        """Describe a class once for each direction; once in all where both say the same."""
        key = (found, self.output)
        name = self.definitions.name_of(key)
        if name is not None:
            return ref(name)
        other = self.definitions.name_of((found, not self.output))
        suffix = "" if other is None else "Output" if self.output else "Input"
        name = self.definitions.reserve(found.__name__ + suffix, key)
        schema = make(found, name)
        for twin, known in self.definitions.schemas.items():
            if twin.startswith(found.__name__) and known == _renamed(schema, {name: twin}):
                return ref(self.definitions.release(name, twin, key))
        self.definitions.schemas[name] = schema
        return ref(name)

    def _object(self, found: Any, _name: str) -> Schema:
        schema: Schema = {"type": "object", "properties": {}}
        for field in fields_of(found, output=self.output) or ():
            schema["properties"][field.name] = with_default(self.read(field.hint), field.default)
            if field.required:
                schema.setdefault("required", []).append(field.name)
        return {**schema, **docstring(found)}

    def _pydantic(self, found: Any, name: str) -> Schema:
        mode = "serialization" if self.output else "validation"
        made = found.model_json_schema(mode=mode, ref_template=REF + "{model}")
        return self._adopt(made, found.__name__, name)

    def _pydantic_1(self, found: Any, name: str) -> Schema:
        return self._adopt(found.schema(ref_template=REF + "{model}"), found.__name__, name)

    def _adopt(self, made: Mapping[str, Any], old_name: str, name: str) -> Schema:
        """Take over a schema made elsewhere, its own definitions under names of ours."""
        schema: Schema = plain(made)
        inner = {**schema.pop("definitions", {}), **schema.pop("$defs", {})}
        if set(schema) == {"$ref"}:  # a model that refers to itself is among its own
            schema = inner[without_prefix(schema["$ref"], REF)]
        inner.pop(old_name, None)
        self.definitions.also(name, _identity(old_name, schema))
        new = [key for key, item in inner.items() if not self._adopted(key, item)]
        for key in new:
            self.definitions.reserve(key, _identity(key, inner[key]))
        names = {key: str(self._adopted(key, item)) for key, item in inner.items()}
        names[old_name] = name
        for key in new:
            self.definitions.schemas[names[key]] = _renamed(inner[key], names)
        adopted: Schema = _renamed(schema, names)
        return adopted

    def _adopted(self, name: str, definition: Schema) -> str | None:
        return self.definitions.name_of(_identity(name, definition))


def enumeration(members: Any) -> Schema:
    """One of a few values: literals or the members of an Enum."""
    values = [plain(item.value if isinstance(item, enum.Enum) else item) for item in members]
    kinds = sorted({json_type(value) for value in values})
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": values}


def constraints(beside: tuple[Any, ...], *, array: bool) -> Schema:
    """The metadata of ``Annotated`` that has a keyword in JSON Schema."""
    found: Schema = {}
    for item in beside:
        for part in (item, *(getattr(item, "metadata", None) or ())):
            for attribute, word in _CONSTRAINTS.items():
                value = getattr(part, attribute, None)
                if isinstance(value, (int, float, str)) and not isinstance(value, bool):
                    found[word.replace("Length", "Items") if array else word] = value
    return found


def _identity(name: str, definition: Schema) -> object:
    return name, json.dumps(definition, sort_keys=True)


def _hashable(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:  # Literal[[…]] and the like
        return False
    return True


def _is_mapping(origin: Any) -> bool:
    if not isinstance(origin, type) or is_typed_dict(origin):
        return False
    return issubclass(origin, collections.abc.Mapping)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """The schema with its references pointing to the new names."""
    if isinstance(node, list):
        return [_renamed(item, names) for item in node]
    if isinstance(node, dict):
        return {key: _renamed(item, names) for key, item in node.items()}
    if isinstance(node, str) and node.startswith(REF):
        name = without_prefix(node, REF)
        return REF + names.get(name, name)
    return node
