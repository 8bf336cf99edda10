"""What inference-schema's decorators say about a script: parameters, result, a sample.

The package is never imported here: a decorated script has imported it. Its schemas are kept as
they are (nested parameter types keep their nesting, which is what Power BI reads), except where
they contradict the sample they were made from: it looks at one element of each list, writes a
boolean's sample as text, and calls what it doesn't know an object.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from scorehost.describing.fields import hints_of, with_default
from scorehost.describing.schema import Schema, any_of, fits, infer, plain
from scorehost.describing.type_hints import HintReader
from scorehost.entry_script import EntryScript
from scorehost.signatures import data_parameters

_MODULE = "inference_schema.schema_util"
_NOT_KNOWN: Schema = {"type": "object"}
"""What it calls values of types that it doesn't know, None among them."""


@dataclass(frozen=True)
class Declared:
    """What the decorators declare.

    Parameters
    ----------
    parameters : schema of each parameter, sample included as its first example.
    output : schema of the result; None without ``@output_schema``.
    """

    parameters: dict[str, Schema]
    output: Schema | None


def declared(script: EntryScript) -> Declared:
    """Read what the script's decorators declare, if it has any."""
    util = sys.modules.get(_MODULE)
    if util is None or not util.is_schema_decorated(script.run):
        return Declared({}, None)
    inputs = plain(util.get_input_schema(script.run))
    samples = inputs.get("example", {})
    parameters = {
        name: agreeing(schema, samples[name])
        for name, schema in inputs.get("properties", {}).items()
        if schema and name in samples  # parameters without a decorator are listed, too
    }
    output = plain(util.get_output_schema(script.run))
    if output == _NOT_KNOWN:
        return Declared(parameters, None)
    sample = output.pop("example", None)
    return Declared(parameters, agreeing(output, sample))


def typed_input(script: EntryScript, found: Declared, reader: HintReader) -> Schema:
    """The JSON object a typed script takes: decorated parameters, then hinted ones."""
    hints = hints_of(script.run)
    schema: Schema = {"type": "object", "properties": {}}
    for parameter in data_parameters(script.run):
        described = found.parameters.get(parameter.name)
        if described is None:
            described = reader.read(hints.get(parameter.name, Any))
        if parameter.default is parameter.empty:
            schema.setdefault("required", []).append(parameter.name)
        else:
            described = with_default(described, parameter.default)
        schema["properties"][parameter.name] = described
    return _with_sample(schema)


def _with_sample(schema: Schema) -> Schema:
    """The object with the samples of its properties gathered into one."""
    sample = {}
    for name, described in schema["properties"].items():
        if "examples" in described:
            sample[name] = described.pop("examples")[0]
    complete = sample and set(schema.get("required", ())) <= set(sample)
    return {**schema, "examples": [sample]} if complete else schema


def agreeing(schema: Schema, sample: Any) -> Schema:
    """The schema and its sample, each mended where it contradicts the other."""
    mended = _mended(schema, sample)
    return {**_widened(schema, mended), "examples": [mended]}


def _mended(schema: Schema, sample: Any) -> Any:
    """The sample with booleans where the package wrote them as text."""
    if isinstance(sample, list):
        return [_mended(schema.get("items", {}), item) for item in sample]
    if isinstance(sample, dict):
        known = schema.get("properties", {})
        return {name: _mended(known.get(name, {}), item) for name, item in sample.items()}
    if schema.get("type") == "boolean" and sample in ("True", "False"):
        return sample == "True"
    return sample


def _widened(schema: Schema, sample: Any) -> Schema:
    """The schema made to admit a sample, besides everything it admits already."""
    if schema == _NOT_KNOWN and not isinstance(sample, dict):
        return {}
    alternatives = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    if not any(fits(sample, item) for item in alternatives):
        return any_of([schema, infer(sample)])
    widened = [_widened_inside(item, sample) for item in alternatives]
    return {**schema, "anyOf": widened} if "anyOf" in schema else widened[0]


def _widened_inside(schema: Schema, sample: Any) -> Schema:
    if isinstance(sample, list) and schema.get("type") == "array":
        items = schema.get("items", {}) if sample or schema.get("items") != _NOT_KNOWN else {}
        for item in sample:
            items = _widened(items, item)
        return {**schema, "items": items}
    if isinstance(sample, dict) and "properties" in schema:
        return _widened_object(schema, sample)
    return schema


def _widened_object(schema: Schema, sample: dict[str, Any]) -> Schema:
    known = schema["properties"]
    properties = {
        name: _widened(known[name], sample[name]) if name in sample else known[name]
        for name in known
    }
    properties.update((name, infer(item)) for name, item in sample.items() if name not in known)
    required = [name for name in schema.get("required", ()) if name in sample]
    widened = {key: value for key, value in schema.items() if key != "required"}
    return {**widened, "properties": properties, **({"required": required} if required else {})}
