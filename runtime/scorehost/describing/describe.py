"""The three documents that describe a service, made once when its script is ready.

Sources, best first: a document in the app root, inference-schema's decorators, the type hints
of ``run()``; else a generic description that says why. Describing never fails a script that can
score: whatever goes wrong becomes the reason for a generic description.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args, get_origin

import scorehost
from scorehost import fast_json
from scorehost.describing.decorators import Declared, declared, typed_input
from scorehost.describing.fields import hints_of
from scorehost.describing.older_versions import openapi_30, swagger_20, tidy_31
from scorehost.describing.openapi import BINARY, JSON, NAMES, TEXT, Service, document
from scorehost.describing.schema import REF, Definitions, Schema, any_of, plain
from scorehost.describing.type_hints import HintReader
from scorehost.entry_script import EntryScript
from scorehost.older_python import without_prefix, without_suffix
from scorehost.references import new_reference, see_log
from scorehost.settings import Settings

_FILES = {
    "2": ("swagger.json", "swagger2.json"),
    "3": ("swagger3.json",),
    "3.1": ("swagger3.1.json",),
}
_STREAMS = (Iterator, Generator, AsyncIterator, AsyncGenerator)
_STREAM = "application/x-ndjson"
_REMEDY = (
    "Type hints, inference-schema's decorators or a swagger.json in the app root would describe it."
)


@dataclass(frozen=True)
class Description:
    """What a service says about itself, as plain values that JSON can hold.

    Parameters
    ----------
    documents : Swagger 2.0, OpenAPI 3.0 and 3.1 under "2", "3" and "3.1".
    reason : why the description of the input is generic, or "".
    sample : a body that ``run()`` should take, from the decorators; None without one.
    warnings : documents in the app root that could not be used, or look wrong.
    """

    documents: dict[str, dict[str, Any]]
    reason: str = ""
    sample: Any = None
    warnings: list[str] = field(default_factory=list)


def describe(script: EntryScript, settings: Settings) -> Description:
    """Describe a script that has been loaded."""
    generic = _generic(script, settings)
    own, warnings = _own_documents(settings.root)
    try:
        service = _described(script, generic)
        documents = _documents(service)
    except Exception as error:  # the user's types run code of theirs when asked for a schema
        # What went wrong is for the log; the documents are for everybody.
        from scorehost.diagnosis.report import message_of, type_name  # rarely needed

        name, reference = type_name(error), new_reference()
        problem = without_suffix(f"{name}: {message_of(error)}", ": ")
        warnings.append(f"describing run() failed (reference {reference}): {problem}")
        reason = f"{see_log(f'describing run() failed with {name}', reference)} {_REMEDY}"
        service = replace(generic, reason=reason)
        documents = _documents(service)
    declared_ones = script.style == "typed" and not service.reason
    samples = service.input.get("examples") if declared_ones else None
    return Description({**documents, **own}, service.reason, samples and samples[0], warnings)


def _generic(script: EntryScript, settings: Settings) -> Service:
    """What is known about any script."""
    raw = script.style == "raw"
    return Service(
        title=settings.service_name,
        version=settings.service_version,
        prefix=settings.service_path_prefix,
        style=script.style,
        input={} if raw else {"examples": [{}]},
        output={},
        result_type="*/*" if raw else JSON,
        explanation=inspect.getdoc(script.run) or "",
        made_by=f"scorehost {scorehost.__version__}",
    )


def _documents(service: Service) -> dict[str, dict[str, Any]]:
    tidy = replace(
        service,
        input=tidy_31(service.input),
        output=tidy_31(service.output),
        definitions={name: tidy_31(item) for name, item in service.definitions.items()},
    )
    newest = plain(document(tidy))
    middle = openapi_30(newest)
    return {"2": swagger_20(middle), "3": middle, "3.1": newest}


# -- what the script says -------------------------------------------------------------------


def _described(script: EntryScript, generic: Service) -> Service:
    definitions = Definitions(NAMES)
    if script.style == "raw":
        reason = "an @rawhttp script reads the request itself. "
        return replace(generic, reason=reason + "A swagger.json in the app root would describe it.")
    inputs, outputs = HintReader(definitions), HintReader(definitions, output=True)
    found = declared(script)
    if script.style == "typed":
        taken, reason = _typed_body(script, found, inputs)
    else:
        taken, reason = _body(script, inputs)
    result, result_type = _result(script, outputs)
    return replace(
        generic,
        input=_in_place(taken, definitions) or generic.input,
        output=_in_place(found.output or result, definitions),
        definitions=definitions.schemas,
        result_type=result_type,
        reason=reason,
    )


def _typed_body(script: EntryScript, found: Declared, reader: HintReader) -> tuple[Schema, str]:
    taken = typed_input(script, found, reader)
    if any(taken["properties"].values()):
        return taken, ""
    return taken, f"no parameter of run() is declared with @input_schema. {_REMEDY}"


def _body(script: EntryScript, reader: HintReader) -> tuple[Schema, str]:
    """What the data parameter's hint says of the body, or why it says nothing."""
    name = script.data_parameter or "data"
    written = inspect.signature(script.run).parameters[name].annotation
    hint = hints_of(script.run).get(name, written)
    if hint is inspect.Parameter.empty:
        return {}, f"the parameter {name} of run() has no type hint. {_REMEDY}"
    if isinstance(hint, str):
        reason = f"the type hint {hint!r} of the parameter {name} of run() cannot be resolved"
        return {}, f"{reason}. {_REMEDY}"
    content = _content(hint)
    if content in (str, bytes):
        return {}, f"run({name}: {content.__name__}) takes text with any content. {_REMEDY}"
    schema = reader.read(content)
    if schema:
        return schema, ""
    unknown = ", ".join(reader.unknown) or inspect.formatannotation(hint)
    return {}, f"the type hint {unknown} of the parameter {name} of run() has no schema. {_REMEDY}"


def _content(hint: Any) -> Any:
    """What the text is made of: ``Annotated[str, Rows]`` is text that holds ``Rows`` as JSON."""
    if getattr(hint, "__origin__", None) in (str, bytes) and hasattr(hint, "__metadata__"):
        kinds = [item for item in hint.__metadata__ if isinstance(item, type) or get_origin(item)]
        return kinds[0] if kinds else hint.__origin__
    return hint


def _result(script: EntryScript, reader: HintReader) -> tuple[Schema, str]:
    """Schema and media type of what ``run()`` returns."""
    hint = hints_of(script.run).get("return", inspect.Parameter.empty)
    origin = get_origin(hint) or hint
    generates = inspect.isgeneratorfunction(script.run) or inspect.isasyncgenfunction(script.run)
    if origin not in _STREAMS and not generates:
        return _answer(reader.read(hint)), JSON
    chunk = get_args(hint)[0] if get_args(hint) and origin in _STREAMS else Any
    return _chunks(chunk, reader)


def _answer(schema: Schema) -> Schema:
    """The result as it arrives: None is answered as an empty object."""
    empty = {"title": "Nothing", "type": "object", "maxProperties": 0}
    if schema == {"type": "null"}:
        return empty
    if "anyOf" not in schema:
        return schema
    return any_of([empty if item == {"type": "null"} else item for item in schema["anyOf"]])


def _chunks(chunk: Any, reader: HintReader) -> tuple[Schema, str]:
    if chunk in (str, bytes):
        return {"type": "string"}, TEXT if chunk is str else BINARY
    lines = reader.read(chunk)
    schema: Schema = {"description": "One JSON value per line."}
    return ({"allOf": [lines], **schema} if lines else schema), _STREAM


def _in_place(schema: Schema, definitions: Definitions) -> Schema:
    """The body's schema itself rather than its name: simple clients look no further."""
    if set(schema) == {"$ref"}:
        return definitions.schemas[without_prefix(schema["$ref"], REF)]
    return schema


# -- documents in the app root --------------------------------------------------------------


def _own_documents(root: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The user's own documents by version, and what is wrong with others."""
    found: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    for version, names in _FILES.items():
        for file in (root / name for name in names):
            if version in found or not file.is_file():
                continue
            try:
                found[version] = _read(file)
            except ValueError as error:
                warnings.append(
                    f"{file} is not used: {error}. A generated document takes its place."
                )
            else:
                warnings += _doubts(file, found[version], version)
    return found, warnings


def _read(file: Path) -> dict[str, Any]:
    try:
        content = fast_json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError("it is JSON, but not an object")
    return content


def _doubts(file: Path, content: dict[str, Any], version: str) -> list[str]:
    said = str(content.get("swagger") or content.get("openapi") or "")
    expected = "3.0" if version == "3" else version
    if said.startswith(expected):
        return []
    kind = f"says it is version {said}" if said else "does not say which version it is"
    return [f"{file} is served as version {version}, but {kind}."]
