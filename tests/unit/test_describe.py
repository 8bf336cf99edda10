"""The description of a service: three valid documents that say the same."""

from __future__ import annotations

import datetime
import decimal
import enum
import itertools
import json
import shutil
import subprocess
import sys
import typing
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypeAlias, Union

import orjson
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
)

from scorehost.describing.decorators import agreeing
from scorehost.describing.describe import Description, describe
from scorehost.describing.older_versions import schema_20, schema_30, tidy_31
from scorehost.describing.schema import Definitions, any_of, infer, plain
from scorehost.describing.type_hints import HintReader
from scorehost.entry_script import load_entry_script
from scorehost.settings import Settings

ROOT = Path(__file__).parents[2]
DESCRIBED = ROOT / "tests" / "scripts" / "described"
SCRIPTS = sorted(file.name for file in DESCRIBED.glob("*.py"))
EXAMPLES = sorted(file.parent.name for file in (ROOT / "examples").glob("*/score.py"))
VALIDATORS = {
    "2": OpenAPIV2SpecValidator,
    "3": OpenAPIV30SpecValidator,
    "3.1": OpenAPIV31SpecValidator,
}

Describe: TypeAlias = Callable[..., Description]


NUMBERS = itertools.count()


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Describe]:
    """Load a script, by name or path, and describe it; settings by name."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules["__main__"].__dict__, "__getattr__", raising=False)
    folder = tmp_path / "loaded"
    folder.mkdir()

    def load(script: str | Path, **settings: Any) -> Description:
        source = DESCRIBED / script
        # inference-schema keeps what it decorated by module and name, and refuses it twice.
        path = folder / f"{source.stem}_{next(NUMBERS)}.py"
        shutil.copy(source, path)
        loaded = load_entry_script(path, folder)
        return describe(loaded, Settings(**{"app_root": tmp_path, **settings}))

    yield load
    for file in folder.iterdir():
        sys.modules.pop(file.stem, None)


def complaints(documents: Mapping[str, Any]) -> list[str]:
    """What openapi-spec-validator has against the documents."""
    return [
        f"{version}: {error}"
        for version, document in documents.items()
        for error in VALIDATORS[version](document).iter_errors()
    ]


def schemas(description: Description) -> dict[str, Any]:
    """The named schemas of the newest document."""
    return description.documents["3.1"]["components"]["schemas"]


# -- every document ---------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_documents_of_every_script_are_valid(described: Describe, script: str) -> None:
    documents = described(script).documents

    assert list(documents) == ["2", "3", "3.1"]
    assert documents["2"]["swagger"] == "2.0"
    assert documents["3"]["openapi"] == "3.0.3"
    assert documents["3.1"]["openapi"] == "3.1.0"
    assert complaints(documents) == []
    assert orjson.loads(orjson.dumps(documents)) == documents


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_documents_of_every_example_are_valid(described: Describe, example: str) -> None:
    documents = described(ROOT / "examples" / example / "score.py").documents

    assert complaints(documents) == []


def test_the_validators_would_complain(described: Describe) -> None:
    documents = described("hinted.py").documents
    for document in documents.values():
        document["paths"]["/score"]["post"]["responses"]["200"]["description"] = 200

    assert len(complaints(documents)) >= 3


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_three_documents_agree(described: Describe, script: str) -> None:
    """The same paths, methods, statuses, headers, parameters and schema names."""
    documents = described(script).documents
    outlines = [outline(document) for document in documents.values()]

    assert outlines[0] == outlines[1] == outlines[2]
    assert outlines[0]["POST /score"]["statuses"] >= {"200", "500", "503", "504"}


def outline(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says, less how its version puts it."""
    found: dict[str, Any] = {"info": document["info"]}
    named = document.get("definitions") or document["components"]["schemas"]
    found["schemas"] = {name: sorted(item.get("properties", {})) for name, item in named.items()}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            parameters = operation.get("parameters", [])
            found[f"{method.upper()} {path}"] = {
                "id": operation["operationId"],
                "said": (operation["summary"], operation.get("description")),
                "statuses": set(operation["responses"]),
                "headers": [sorted(a.get("headers", ())) for a in operation["responses"].values()],
                "query": [(p["name"], p["required"]) for p in parameters if p["in"] == "query"],
                "body": "requestBody" in operation or any(p["in"] == "body" for p in parameters),
                "refs": sorted(part.rpartition("/")[2] for part in refs(operation)),
            }
    return found


def refs(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*map(refs, node.values()))
    return set().union(*map(refs, node)) if isinstance(node, list) else set()


def test_settings_fill_the_documents_in(described: Describe) -> None:
    documents = described(
        "no_hints.py",
        service_name="Ships & Co",
        service_version="7",
        service_path_prefix="/api/v1/ships/",
    ).documents

    assert complaints(documents) == []
    for document in documents.values():
        assert document["info"]["title"] == "Ships & Co"
        assert document["info"]["version"] == "7"
        assert {"/api/v1/ships/", "/api/v1/ships/score"} <= set(document["paths"])


def test_a_prefix_with_braces_is_no_template(described: Describe) -> None:
    documents = described("no_hints.py", service_path_prefix="a{b} c").documents

    assert complaints(documents) == []
    assert "/a%7Bb%7D%20c/score" in documents["2"]["paths"]


@pytest.mark.parametrize(
    ("script", "refusals"),
    [("no_hints.py", {"400"}), ("power_bi.py", {"400", "415"}), ("raw.py", set())],
)
def test_statuses(described: Describe, script: str, refusals: set[str]) -> None:
    post = described(script).documents["3.1"]["paths"]["/score"]["post"]

    assert set(post["responses"]) == {"200", "413", "500", "503", "504"} | refusals
    assert "Retry-After" in post["responses"]["503"]["headers"]


# -- inference-schema -------------------------------------------------------------------------


def test_nested_inputs_keep_their_nesting(described: Describe) -> None:
    """What Power BI reads: definitions.ServiceInput, of Swagger 2.0, down to the columns."""
    description = described("power_bi.py")
    found = description.documents["2"]["definitions"]["ServiceInput"]

    assert found["required"] == ["Inputs"]
    assert list(found["properties"]) == ["Inputs", "GlobalParameters"]
    inputs = found["properties"]["Inputs"]
    assert inputs["required"] == ["data", "flags"]
    assert inputs["properties"]["data"] == {
        "type": "array",
        "format": "pandas.DataFrame:records",
        "items": {
            "type": "object",
            "required": ["age", "job", "member"],
            "properties": {
                "age": {"type": "integer", "format": "int64"},
                "job": {"type": "string"},
                "member": {"type": "boolean"},
            },
        },
    }
    assert found["properties"]["GlobalParameters"] == {
        "type": "object",
        "required": ["method"],
        "properties": {"method": {"type": "string"}},
    }
    assert description.reason == ""


def test_the_sample_is_the_example(described: Describe) -> None:
    sample = {
        "Inputs": {
            "data": [{"age": 39, "job": "clerk", "member": True}],
            "flags": [[True, False]],  # not the text inference-schema makes of booleans
        },
        "GlobalParameters": {"method": "predict"},
    }
    description = described("power_bi.py")

    assert description.sample == sample
    assert description.documents["2"]["definitions"]["ServiceInput"]["example"] == sample
    newest, middle = (description.documents[version] for version in ("3.1", "3"))
    assert newest["components"]["schemas"]["ServiceInput"]["examples"] == [sample]
    assert middle["components"]["schemas"]["ServiceInput"]["example"] == sample


def test_the_output_is_the_declared_one(described: Describe) -> None:
    output = schemas(described("power_bi.py"))["ServiceOutput"]

    assert output["properties"]["Results"] == {
        "type": "array",
        "format": "numpy.ndarray",
        "items": {"type": "number", "format": "double"},
    }


def test_the_headers_are_no_input(described: Describe) -> None:
    assert "request_headers" not in str(described("power_bi.py").documents)


def test_samples_of_mixed_types_widen_the_schema(described: Describe) -> None:
    """The decorators' schema would refuse its own sample; ours takes it in each version."""
    description = described("mixed_samples.py")
    found = schemas(description)["ServiceInput"]

    Draft202012Validator(found).validate(description.sample)
    OAS30Validator(schema_30(found)).validate(description.sample)
    split = found["properties"]["split"]["properties"]["data"]["items"]["items"]["anyOf"]
    assert {item["type"] for item in split} == {"integer", "string", "null"}
    assert found["properties"]["nothing"]["properties"] == {
        "inside": {},
        "empty": {"type": "array", "items": {}},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(sample=JSON, other=JSON)
def test_any_schema_is_made_to_admit_its_sample(sample: Any, other: Any) -> None:
    schema = agreeing(infer(other), sample)

    Draft202012Validator(schema).validate(sample)


@given(first=JSON, second=JSON)
def test_older_versions_admit_what_the_newest_admits(first: Any, second: Any) -> None:
    newest = tidy_31(any_of([infer(first), infer(second)]))
    middle = schema_30(newest)
    oldest = schema_20(middle)

    for value in (first, second):
        Draft202012Validator(newest).validate(value)
        OAS30Validator(middle).validate(value)
        OAS30Validator(nullable(oldest)).validate(value)


def nullable(schema: Any) -> Any:
    """Swagger 2.0's schema with null as most of its readers understand it."""
    if isinstance(schema, list):
        return [nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {("nullable" if key == "x-nullable" else key): item for key, item in schema.items()}
    return {key: nullable(item) for key, item in renamed.items()}


# -- type hints -------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Mixed(enum.Enum):
    ONE = 1
    OTHER = "other"


class Point(NamedTuple):
    x: float
    label: str


class Unknown:
    pass


Metres = NewType("Metres", float)

NUMBER, TEXT, NULL = {"type": "number"}, {"type": "string"}, {"type": "null"}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (int, {"type": "integer"}),
        (float, NUMBER),
        (bool, {"type": "boolean"}),
        (str, TEXT),
        (None, NULL),
        (Any, {}),
        (object, {}),
        (decimal.Decimal, NUMBER),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (datetime.date, {"type": "string", "format": "date"}),
        (datetime.timedelta, {"type": "string", "format": "duration"}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (Path, TEXT),
        (Metres, NUMBER),
        (list, {"type": "array", "items": {}}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (typing.List[str], {"type": "array", "items": TEXT}),  # noqa: UP006 - as users write
        (Sequence[float], {"type": "array", "items": NUMBER}),
        (frozenset[str], {"type": "array", "items": TEXT}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, TEXT],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (tuple[()], {"type": "array", "items": {}, "minItems": 0, "maxItems": 0}),
        (
            Point,
            {"type": "array", "prefixItems": [NUMBER, TEXT], "minItems": 2, "maxItems": 2},
        ),
        (dict, {"type": "object"}),
        (dict[str, float], {"type": "object", "additionalProperties": NUMBER}),
        (dict[str, Any], {"type": "object"}),
        (Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (OrderedDict, {"type": "object"}),
        (Optional[str], {"anyOf": [TEXT, NULL]}),  # noqa: UP045 - as users write
        (Union[int, str], {"anyOf": [{"type": "integer"}, TEXT]}),  # noqa: UP007
        (int | None, {"anyOf": [{"type": "integer"}, NULL]}),
        (int | Any, {}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal[1, "b"], {"type": ["integer", "string"], "enum": [1, "b"]}),
        (Colour, {"type": "string", "enum": ["red", "blue"]}),
        (Mixed, {"type": ["integer", "string"], "enum": [1, "other"]}),
        (Annotated[str, "a remark"], TEXT),
        (
            Annotated[int, pydantic.Field(ge=1, lt=9, description="Rank.")],
            {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "description": "Rank."},
        ),
        (
            Annotated[list[str], pydantic.Field(min_length=1)],
            {"type": "array", "items": TEXT, "minItems": 1},
        ),
        (pydantic.Json[list[int]], {"type": "array", "items": {"type": "integer"}}),
        (pd.DataFrame, {"type": "array", "items": {"type": "object"}}),
    ],
    ids=str,
)
def test_hint(hint: Any, schema: dict[str, Any]) -> None:
    reader = HintReader(Definitions())

    assert reader.read(hint) == schema
    assert reader.unknown == []


def test_a_class_of_no_known_kind_says_nothing() -> None:
    reader = HintReader(Definitions())

    assert reader.read(list[Unknown]) == {"type": "array", "items": {}}
    assert reader.unknown == ["Unknown"]


def test_the_same_class_twice_has_one_name_and_two_of_a_name_have_two() -> None:
    def make() -> Any:
        class Row(typing.TypedDict):
            a: int

        return Row

    first, second = make(), make()
    second.__annotations__["b"] = second.__required_keys__ and str
    definitions = Definitions()
    reader = HintReader(definitions)

    assert reader.read(first) == reader.read(first) == {"$ref": "#/components/schemas/Row"}
    assert reader.read(second) == {"$ref": "#/components/schemas/Row_2"}
    assert set(definitions.schemas) == {"Row", "Row_2"}


def test_dataclass_and_typed_dict(described: Describe) -> None:
    description = described("hinted.py")
    found = schemas(description)

    assert description.reason == ""
    assert found["ServiceInput"]["items"] == {"$ref": "#/components/schemas/Passenger"}
    assert found["Passenger"]["description"] == "Somebody on board."
    assert found["Passenger"]["required"] == ["name", "age"]
    assert found["Passenger"]["properties"]["deck"] == {
        "type": "string",
        "enum": ["upper", "lower"],
        "default": "lower",
    }
    assert found["Passenger"]["properties"]["mother"] == {
        "anyOf": [{"$ref": "#/components/schemas/Passenger"}, NULL]
    }
    assert found["ServiceOutput"]["additionalProperties"] == {
        "$ref": "#/components/schemas/Prediction"
    }
    assert "required" not in found["Prediction"]


def test_what_null_becomes_in_older_versions(described: Describe) -> None:
    documents = described("hinted.py").documents
    middle = documents["3"]["components"]["schemas"]["Passenger"]["properties"]
    oldest = documents["2"]["definitions"]["Passenger"]["properties"]

    assert middle["age"] == {"type": "number", "nullable": True}
    assert oldest["age"] == {"type": "number", "x-nullable": True}
    assert oldest["mother"] == {"allOf": [{"$ref": "#/definitions/Passenger"}], "x-nullable": True}


def test_pydantic_models_of_both_versions(described: Describe) -> None:
    description = described("pydantic_models.py")
    found = schemas(description)

    assert set(found) == {"ServiceInput", "ServiceOutput", "ErrorResponse", "ServerState"} | {
        "Node",
        "Twig",
        "Leaf",
    }
    value = found["Node"]["properties"]["value"]
    assert (value["exclusiveMinimum"], value["maximum"]) == (0, 100)
    older = description.documents["3"]["components"]["schemas"]["Node"]["properties"]["value"]
    assert (older["minimum"], older["exclusiveMinimum"], older["example"]) == (0, True, 3)
    assert found["Node"]["properties"]["children"]["items"] == {"$ref": "#/components/schemas/Node"}
    assert found["Twig"]["properties"]["leaf"] == {"$ref": "#/components/schemas/Leaf"}
    Draft202012Validator(found["Leaf"]).validate({"weight": 2, "pair": [1, "a"]})
    assert not Draft202012Validator(found["Leaf"]).is_valid({"weight": 0, "pair": [1, "a"]})


def test_arrays_with_their_shapes(described: Describe) -> None:
    description = described("arrays.py")
    found = schemas(description)["ServiceInput"]["properties"]

    assert description.reason == ""
    four = {"minItems": 4, "maxItems": 4}
    assert found["rows"] == {
        "type": "array",
        "items": {"type": "array", "items": {"type": "number", "format": "float"}, **four},
    }
    assert found["weights"]["items"] == {"type": "number", "format": "double"}
    assert found["pairs"]["items"]["items"] == {"type": "integer", "format": "int64"}
    assert found["pairs"]["items"]["maxItems"] == 2
    assert found["any_depth"]["description"] == "An array of boolean values, nested to any depth."
    assert found["bare"] == {"type": "array", "items": {}}


def test_an_object_that_can_be_called(described: Describe) -> None:
    found = schemas(described("callable_object.py"))

    assert found["ServiceInput"] == {"type": "array", "items": {"type": "integer"}}
    assert found["ServiceOutput"] == {"type": "integer"}


def test_a_stream_is_lines(described: Describe) -> None:
    answer = described("lines.py").documents["3.1"]["paths"]["/score"]["post"]["responses"]["200"]

    assert list(answer["content"]) == ["application/x-ndjson"]


def test_fields_of_an_object_may_come_in_the_query(described: Describe) -> None:
    documents = described("one_row.py").documents
    newest = documents["3.1"]["paths"]["/score"]["get"]["parameters"]
    oldest = documents["2"]["paths"]["/score"]["get"]["parameters"]

    assert [item["name"] for item in newest] == ["age", "job", "scores"]
    assert newest[0]["schema"] == {"type": "integer"}
    assert list(newest[2]["content"]) == ["application/json"]
    assert (oldest[0]["type"], oldest[2]["type"]) == ("integer", "string")
    assert oldest[2]["description"] == "Encoded as JSON."


# -- generic, and why -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("no_hints.py", "the parameter data of run() has no type hint."),
        ("raw.py", "an @rawhttp script reads the request itself."),
        ("hostile_hints.py", "describing run() failed with RuntimeError; see the log, reference "),
        ("odd_type.py", "describing run() failed with AttributeError; see the log, reference "),
    ],
)
def test_a_generic_description_says_why(described: Describe, script: str, reason: str) -> None:
    description = described(script)

    assert description.reason.startswith(reason)
    assert "swagger.json" in description.reason
    assert description.sample is None
    for document in description.documents.values():
        assert description.reason in document["info"]["description"]


@pytest.mark.parametrize(
    ("hint", "reason"),
    [
        ("str", "run(data: str) takes text with any content."),
        ("'Absent'", "the type hint 'Absent' of the parameter data of run() cannot be resolved."),
        ("Body", "the type hint Body of the parameter data of run() has no schema."),
        ("Body()", "the type hint Body of the parameter data of run() has no schema."),
    ],
)
def test_hints_that_say_nothing(
    described: Describe, tmp_path: Path, hint: str, reason: str
) -> None:
    script = tmp_path / f"says_nothing_{len(hint)}.py"
    body = "class Body:\n    def __repr__(self): return 'secret of the script'\n"
    script.write_text(f"{body}def init(): pass\ndef run(data: {hint}): return data\n")

    assert described(script).reason.startswith(reason)


def test_what_went_wrong_is_for_the_log_alone(described: Describe) -> None:
    description = described("hostile_hints.py")

    assert "secret" not in str(description.documents)
    reference = description.reason.partition("reference ")[2].partition(".")[0]
    assert description.warnings == [
        f"describing run() failed (reference {reference}): RuntimeError: secret of the script"
    ]
    assert complaints(description.documents) == []


def test_raw_scripts_answer_every_method(described: Describe) -> None:
    score = described("raw.py").documents["3.1"]["paths"]["/score"]

    assert set(score) == {"get", "post", "put", "patch", "delete"}
    assert score["post"]["description"] == "POST a PNG."
    assert "application/octet-stream" in score["post"]["requestBody"]["content"]


# -- documents of the user's own --------------------------------------------------------------

OWN = {
    "swagger.json": ("2", {"swagger": "2.0", "own": 1}),
    "swagger2.json": ("2", {"swagger": "2.0", "own": 2}),
    "swagger3.json": ("3", {"openapi": "3.0.1", "own": 3}),
    "swagger3.1.json": ("3.1", {"openapi": "3.1.0", "own": 31}),
}


@pytest.mark.parametrize("name", OWN)
def test_a_document_in_the_app_root_wins(described: Describe, tmp_path: Path, name: str) -> None:
    version, document = OWN[name]
    (tmp_path / name).write_text(json.dumps(document))

    description = described("no_hints.py")

    assert description.warnings == []
    found = {key: item.get("own") for key, item in description.documents.items()}
    assert found == {"2": None, "3": None, "3.1": None} | {version: document["own"]}


def test_swagger_json_wins_over_swagger2_json(described: Describe, tmp_path: Path) -> None:
    for name in ("swagger.json", "swagger2.json"):
        (tmp_path / name).write_text(json.dumps(OWN[name][1]))

    assert described("no_hints.py").documents["2"]["own"] == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "is not used: it is not JSON"),
        (b"\xff\xfe\x00", "is not used: it is not JSON"),
        (b"[1]", "is not used: it is JSON, but not an object."),
        (b'{"a": NaN}', "is not used: it is not JSON"),
        (b"[" * 100_000, "is not used: it is not JSON"),
    ],
    ids=["broken", "no text", "array", "NaN", "deep"],
)
def test_a_malformed_document_is_named_and_not_used(
    described: Describe, tmp_path: Path, content: bytes, problem: str
) -> None:
    file = tmp_path / "swagger3.json"
    file.write_bytes(content)

    description = described("no_hints.py")

    assert len(description.warnings) == 1
    assert description.warnings[0].startswith(f"{file} {problem}")
    assert complaints(description.documents) == []


def test_a_document_of_another_version_is_served_with_a_warning(
    described: Describe, tmp_path: Path
) -> None:
    (tmp_path / "swagger.json").write_text('{"openapi": "3.0.1"}')

    description = described("no_hints.py")

    assert description.documents["2"] == {"openapi": "3.0.1"}
    assert description.warnings == [
        f"{tmp_path / 'swagger.json'} is served as version 2, but says it is version 3.0.1."
    ]


# -- values -----------------------------------------------------------------------------------


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    )
)
def test_plain_values_are_json(value: Any) -> None:
    orjson.dumps(plain(value), option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def test_describing_imports_nothing_of_the_users(tmp_path: Path) -> None:
    """No numpy, pandas or inference-schema for a script that uses none."""
    program = (
        "import sys; from pathlib import Path\n"
        "from scorehost.entry_script import load_entry_script\n"
        "from scorehost.describing.describe import describe\n"
        "from scorehost.settings import Settings\n"
        "path = Path(sys.argv[1])\n"
        "assert describe(load_entry_script(path, path.parent), Settings()).reason\n"
        "print(sorted({'numpy', 'pandas', 'inference_schema', 'flask'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(DESCRIBED / "no_hints.py")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    assert done.stdout == "[]\n"
