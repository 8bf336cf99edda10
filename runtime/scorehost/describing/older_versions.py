"""OpenAPI 3.1 to 3.0, and 3.0 to Swagger 2.0.

Each step says the same in fewer words. What the older dialect has no word for is widened,
never narrowed: a value that the 3.1 document admits is admitted by all three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from scorehost.describing.schema import REF, Schema, any_of, fits, types_of
from scorehost.older_python import without_prefix

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

_SUBSCHEMAS = ("items", "additionalProperties", "not", "contains", "propertyNames")
_SUBSCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SUBSCHEMA_MAPS = ("properties", "patternProperties")

Document: TypeAlias = "dict[str, Any]"
Step: TypeAlias = "Callable[[Any], Schema]"

BODY_NAME = "serviceInputPayload"

_BOTH = frozenset({
    "default", "description", "enum", "example", "exclusiveMaximum", "exclusiveMinimum", "format",
    "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties",
    "minimum", "multipleOf", "pattern", "readOnly", "required", "title", "type", "uniqueItems",
})  # fmt: skip
_30 = _BOTH | {"nullable", "writeOnly", "deprecated", "discriminator"}


# -- 3.1, made tidy -------------------------------------------------------------------------


def tidy_31(schema: Any) -> Schema:
    """The schema without what validators reject: obsolete keywords, defaults that do not fit."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    made = _inside(schema, tidy_31)
    if "example" in made:
        made.setdefault("examples", [made.pop("example")])
    if isinstance(made.get("examples"), dict):
        made["examples"] = list(made["examples"].values())
    if isinstance(made.get("items"), list):  # a tuple, before 2020-12
        made["prefixItems"] = [tidy_31(item) for item in made.pop("items")]
    if isinstance(made.get("items"), bool) and "prefixItems" not in made:
        made.update({"items": {}} if made["items"] else {"items": {}, "maxItems": 0})
    if "required" in made and "properties" in made:
        made["required"] = [name for name in made["required"] if name in made["properties"]]
    if not made.get("required", True):
        del made["required"]
    if "default" in made and (made["default"] is None or not fits(made["default"], made)):
        del made["default"]
    return made


# -- 3.1 to 3.0 -----------------------------------------------------------------------------


def openapi_30(document: Document) -> Document:
    """The same in OpenAPI 3.0."""
    return {**_with_schemas(document, schema_30), "openapi": "3.0.3"}


def schema_30(schema: Schema) -> Schema:
    """One schema in OpenAPI 3.0's dialect."""
    made = _inside(schema, schema_30)
    beside = {key: value for key, value in made.items() if key != "$ref"}
    if "$ref" in made:
        return {**schema_30(beside), "allOf": [{"$ref": made["$ref"]}]} if beside else made
    for rewrite in (_one_type, _alternatives, _tuple, _bounds, _words):
        made = rewrite(made)
    kept = {key: value for key, value in made.items() if key in _30 or key.startswith("x-")}
    structure = ("items", "additionalProperties", "not", "properties", "allOf", "anyOf", "oneOf")
    kept.update({key: made[key] for key in structure if key in made})
    if kept.get("type") == "array":
        kept.setdefault("items", {})
    return kept


_NULL: Schema = {"nullable": True, "enum": [None]}
"""Null and nothing else. ``nullable`` alone counts only beside ``type`` (OpenAPI 3.0.3)."""


def _one_type(made: Schema) -> Schema:
    """A list of types becomes one type that may be nullable, or alternatives."""
    types = types_of(made)
    if "null" not in types and len(types) < 2:
        return made
    rest = {key: value for key, value in made.items() if key != "type"}
    named = [name for name in types if name != "null"]
    null = "null" in types
    if len(named) == 1:
        return {**rest, "type": named[0], "nullable": True}
    if not named:
        return {**rest, **_NULL}
    return {"anyOf": [*({"type": name} for name in named), *([_NULL] if null else [])], **rest}


def _alternatives(made: Schema) -> Schema:
    """Null beside a single alternative that names its type makes that one nullable."""
    for key in ("anyOf", "oneOf"):
        others = [item for item in made.get(key, ()) if item != _NULL]
        if len(others) == 1 and "type" in others[0] and len(made[key]) == 2:
            rest = {name: value for name, value in made.items() if name != key}
            single = {**others[0], **rest, "nullable": True}
            if "enum" in others[0]:
                single["enum"] = [*others[0]["enum"], None]
            return single
    return made


def _tuple(made: Schema) -> Schema:
    if "prefixItems" not in made:
        return made
    first, rest = made["prefixItems"], made.get("items", {})
    if rest is False or made.get("maxItems", len(first) + 1) <= len(first):
        return {**made, "items": any_of(first), "maxItems": len(first)}
    return {**made, "items": any_of([*first, rest]) if isinstance(rest, dict) else {}}


def _bounds(made: Schema) -> Schema:
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        value = made.get(exclusive)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            made = {**made, bound: value, exclusive: True}
    return made


def _words(made: Schema) -> Schema:
    """Keywords that have another name or form in 3.0."""
    made = dict(made)
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if made.get("examples"):
        made["example"] = made["examples"][0]
    if made.get("contentEncoding") == "base64":
        made.setdefault("format", "byte")
    if "patternProperties" in made:
        others = made.get("additionalProperties")
        kinds = [*made["patternProperties"].values(), *([others] if others else [])]
        made["additionalProperties"] = any_of(kinds) if others is not None else {}
    if not isinstance(made.get("discriminator", {}), dict):
        del made["discriminator"]
    return made


# -- 3.0 to 2.0 -----------------------------------------------------------------------------


def swagger_20(document: Document) -> Document:
    """The same, of an OpenAPI 3.0 document, in Swagger 2.0."""
    components = document["components"]
    return {
        "swagger": "2.0",
        "info": document["info"],
        "tags": document["tags"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": {
            path: {method: _operation_20(operation) for method, operation in item.items()}
            for path, item in document["paths"].items()
        },
        "definitions": {name: schema_20(item) for name, item in components["schemas"].items()},
        "securityDefinitions": components["securitySchemes"],
    }


_NULL_20: Schema = {"x-nullable": True, "enum": [None]}


def _operation_20(operation: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in operation.items() if key != "requestBody"}
    parameters = [_parameter_20(item) for item in operation.get("parameters", ())]
    body = operation.get("requestBody")
    if body is not None:
        parameters.append(_body_20(body))
        made["consumes"] = list(body["content"])
    if parameters:
        made["parameters"] = parameters
    responses = operation["responses"]
    made["produces"] = sorted({kind for item in responses.values() for kind in item["content"]})
    made["responses"] = {status: _response_20(item) for status, item in responses.items()}
    return made


def _body_20(body: Mapping[str, Any]) -> dict[str, Any]:
    schema = next(iter(body["content"].values()))["schema"]
    return {
        "name": BODY_NAME,
        "in": "body",
        "required": body.get("required", False),
        "description": body["description"],
        "schema": schema_20(schema),
    }


def _response_20(response: Mapping[str, Any]) -> dict[str, Any]:
    schema = next(iter(response["content"].values()))["schema"]
    made = {"description": response["description"], "schema": schema_20(schema)}
    if "headers" in response:
        made["headers"] = {
            name: {"description": item["description"], **item["schema"]}
            for name, item in response["headers"].items()
        }
    return made


def _parameter_20(parameter: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: parameter[key] for key in ("name", "in", "required")}
    described = schema_20(parameter.get("schema", {}))
    text = parameter.get("description", "") or described.get("description", "")
    if "type" not in described:
        said = "Encoded as JSON." if "content" in parameter else ""
        return {**made, "type": "string", "description": " ".join(filter(None, (text, said)))}
    known = _BOTH - {"title", "description", "example", "required", "readOnly"}
    made.update({key: value for key, value in described.items() if key in known})
    return {**made, "description": text} if text else made


def schema_20(schema: Schema) -> Schema:
    """One schema of OpenAPI 3.0's dialect in Swagger 2.0's."""
    made = _inside(schema, schema_20)
    if "$ref" in made:
        return {"$ref": "#/definitions/" + without_prefix(made["$ref"], REF)}
    kept = {key: value for key, value in made.items() if key in _BOTH or key.startswith("x-")}
    structure = ("items", "additionalProperties", "properties", "allOf")
    kept.update({key: made[key] for key in structure if key in made})
    if made.get("nullable"):
        kept["x-nullable"] = True
    for key in ("anyOf", "oneOf"):
        if key in made:
            kept = _any_20(kept, made[key])
    return kept


def _any_20(kept: Schema, alternatives: list[Schema]) -> Schema:
    """Alternatives in words, and their type where they share one."""
    others = [item for item in alternatives if item != _NULL_20]
    if len(others) < len(alternatives):
        kept = {**kept, "x-nullable": True}
    if len(others) == 1:
        return {**kept, "allOf": others} if "$ref" in others[0] else {**others[0], **kept}
    types = {item.get("type") for item in others}
    if types <= {"integer", "number"}:
        kept = {"type": "number", **kept}
    elif len(types) == 1 and types <= {"string", "boolean"}:
        kept = {"type": types.pop(), **kept}
    said = "One of: " + ", ".join(dict.fromkeys(map(_in_words, others))) + "."
    return {**kept, "description": " ".join(filter(None, (kept.get("description"), said)))}


def _in_words(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array" and schema.get("items"):
        return f"array of {_in_words(schema['items'])}"
    return str(schema.get("title") or schema.get("type") or "any value")


# -- walking --------------------------------------------------------------------------------


def _inside(schema: Schema, step: Step) -> Schema:
    """The schema with a step taken on each schema directly inside it."""
    made = dict(schema)
    for key in _SUBSCHEMAS:
        if isinstance(made.get(key), dict):
            made[key] = step(made[key])
    for key in _SUBSCHEMA_LISTS:
        if key in made:
            made[key] = [step(item) for item in made[key]]
    for key in _SUBSCHEMA_MAPS:
        if key in made:
            made[key] = {name: step(item) for name, item in made[key].items()}
    return made


def _with_schemas(node: Any, step: Step) -> Any:
    """The document with a step taken on each schema in it."""
    if isinstance(node, list):
        return [_with_schemas(item, step) for item in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        if key == "schema":
            made[key] = step(value)
        elif key == "schemas":
            made[key] = {name: step(item) for name, item in value.items()}
        else:
            made[key] = _with_schemas(value, step)
    return made
