"""What the makers of schemas share: JSON Schema as plain dicts, in OpenAPI 3.1's dialect.

Everything is described once in this dialect; ``older_versions.py`` turns it into the two
older ones. A schema of ``{}`` says nothing: any value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scorehost.older_python import without_prefix

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Schema: TypeAlias = "dict[str, Any]"

REF = "#/components/schemas/"

_WIDEST = 1 << 63
"""orjson, like most readers of JSON, knows no wider integers."""

SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})


class Definitions:
    """Named schemas that others refer to: one name for each type, however often it is used."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.schemas: dict[str, Schema] = {}
        self._taken = set(taken)
        self._names: dict[object, str] = {}

    def name_of(self, key: object) -> str | None:
        """The name this type has already, if it has one."""
        return self._names.get(key)

    def reserve(self, wanted: str, key: object) -> str:
        """Choose a name for a type before its schema is made, so that it may refer to itself."""
        base = re.sub(r"[^A-Za-z0-9._-]+", "_", wanted).strip("_") or "Type"
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        self._names[key] = name
        return name

    def also(self, name: str, key: object) -> None:
        """Let a second key find a name, unless it finds one already."""
        self._names.setdefault(key, name)

    def release(self, name: str, other: str, key: object) -> str:
        """Give a name back, because the type says the same as one that has a name already."""
        self._taken.discard(name)
        self._names = {item: found for item, found in self._names.items() if found != name}
        self._names[key] = other
        return other


def ref(name: str) -> Schema:
    """A schema that refers to a named one."""
    return {"$ref": REF + name}


def any_of(schemas: Sequence[Schema]) -> Schema:
    """One schema for several, without repetitions; nothing is said when one says nothing."""
    unique: list[Schema] = []
    for schema in schemas:
        alternatives = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
        unique += [item for item in alternatives if item not in unique]
    if not unique or {} in unique:
        return {}
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def plain(value: Any) -> Any:
    """The value with nothing in it that JSON does not have; what has no JSON form is text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -_WIDEST <= value < _WIDEST else float(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    text = str.__str__(value) if isinstance(value, str) else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def json_type(value: Any) -> str:
    """What JSON Schema calls the type of a plain value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """The types a schema names; none when it leaves them open."""
    found = schema.get("type", [])
    return [found] if isinstance(found, str) else list(found)


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a plain value has a type the schema names, as far as a glance can tell."""
    named, found = types_of(schema), json_type(value)
    if "enum" in schema and value not in schema["enum"]:
        return False
    return not named or found in named or (found == "integer" and "number" in named)


def infer(value: Any) -> Schema:
    """Describe a plain value by itself."""
    found = json_type(value)
    if found == "array":
        return {"type": "array", "items": any_of([infer(item) for item in value] or [{}])}
    if found == "object":
        properties = {name: infer(item) for name, item in value.items()}
        return {"type": "object", "properties": properties} if properties else {"type": "object"}
    return {"type": found}


def references(node: Any) -> set[str]:
    """Names of all schemas that something refers to."""
    if isinstance(node, Mapping):
        target = node.get("$ref")
        own = {without_prefix(target, REF)} if isinstance(target, str) else set()
        return own.union(*(references(item) for item in node.values()))
    if isinstance(node, list):
        return set().union(*(references(item) for item in node))
    return set()


def needed(roots: Iterable[Schema], schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Of the named schemas, those that the roots refer to, directly or not."""
    found: set[str] = set()
    open_names = set().union(*(references(root) for root in roots))
    while open_names:
        name = open_names.pop()
        if name in schemas and name not in found:
            found.add(name)
            open_names |= references(schemas[name])
    return {name: schema for name, schema in schemas.items() if name in found}
