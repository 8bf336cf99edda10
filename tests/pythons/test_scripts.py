"""The same scripts with the same answers, whichever Python and packages they run in."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.pythons import environment, pythons_here
from support.server import LiveServer, StartServer, clean_environment

PLAIN = """
import asyncio, base64, collections, dataclasses, datetime, decimal, enum, fractions, json, pathlib
import sys, uuid
from typing import List

@dataclasses.dataclass
class Point:
    x: float
    y: List[int]

class Colour(enum.Enum):
    RED = "red"

Pair = collections.namedtuple("Pair", "left right")
ZONE = datetime.timezone(datetime.timedelta(hours=2))

VALUES = {
    "floats": [0.1, 1e-7, 1e22, -0.0, 5e-324, 1.7976931348623157e308, 3.0],
    "not finite": [float("nan"), float("inf"), -float("inf")],
    "integers": [0, -1, 2**53 + 1, 2**63 - 1, 2**64, -(2**70)],
    "texts": ["", "plain", "\\u00e9\\u4e2d\\U0001f600", "\\u2028 \\x00 \\" \\\\", "half \\ud800"],
    "words": [None, True, False],
    "keys": {1: "one", 2.5: "two", None: "none", True: "true"},
    "times": [
        datetime.datetime(2021, 2, 3, 4, 5, 6, 789000), datetime.date(2021, 2, 3),
        datetime.datetime(2021, 2, 3, 4, 5, 6, tzinfo=ZONE), datetime.time(4, 5),
        datetime.timedelta(days=1, seconds=3),
    ],
    "exact": [decimal.Decimal("1.10"), decimal.Decimal("12345678901234567890.5")],
    "objects": [
        Point(1.5, [2, 3]), Colour.RED, Pair(1, 2), uuid.UUID(int=5), pathlib.PurePosixPath("/a"),
    ],
    "bytes": [b"\\xff\\x00", bytearray(b"ab")],
    "sets": [{3, 1, 2}, frozenset(["a"])],
    "nested": [[[[[{"deep": (1, (2, 3))}]]]]],
}

def init():
    global ready
    ready = True

async def in_turn():
    await asyncio.sleep(0)
    return "awaited"

def stream():
    for number in range(3):
        yield {"number": number}

def run(data):
    wanted = json.loads(data)
    if wanted == "version":
        return sys.version_info[:2]
    if wanted == "stream":
        return stream()
    if wanted == "await":
        return asyncio.run(in_turn())
    if wanted == "refused":
        return {"here": fractions.Fraction(1, 3)}
    if wanted == "fails":
        return {}["missing"]
    if wanted == "large":
        return [number / 7 for number in range(100_000)]
    return VALUES[wanted]
"""
ASKED = (
    "floats", "not finite", "integers", "texts", "words", "keys", "times", "exact", "objects",
    "bytes", "sets", "nested", "stream", "await", "large", "refused", "fails",
)  # fmt: skip

MODEL = """
import json, pickle
from pathlib import Path
import numpy as np
from azureml.core.model import Model

def init():
    global model
    model = pickle.loads(Path(Model.get_model_path("lines")).read_bytes())

def run(data):
    rows = np.array(json.loads(data), dtype=np.float32)
    return {
        "predicted": model.predict(rows),
        "rows": rows,
        "first": rows[0, 0],
        "half": np.float16(0.1),
        "whole": np.arange(3),
        "big-endian": np.array([1.5, 2.5], dtype=">f8"),
        "when": np.array(["2021-02-03T04:05:06"], dtype="datetime64[s]"),
        "missing": np.array([1.0, np.nan]),
    }
"""
TRAIN = """
import pickle, sys
import numpy as np
from pathlib import Path
from sklearn.linear_model import LinearRegression
X = np.array([[number, number**2] for number in range(10)], dtype=float)
model = LinearRegression().fit(X, X @ [2.0, -1.0] + 3.0)
file = Path(sys.argv[1])
file.parent.mkdir(parents=True)
file.write_bytes(pickle.dumps(model))
"""

RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
import flask

def init():
    pass

@rawhttp
def run(request):
    if request.method == "GET":
        return {"args": request.args.to_dict(), "same": flask.request.path}
    if request.path.endswith("json"):
        return flask.jsonify(request.get_json())
    return AMLResponse(request.get_data(as_text=True).upper(), 201, {"X-Kind": "raw"})
"""

HINTS = """
import dataclasses, datetime, enum, uuid
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, TypedDict, Union

class Colour(enum.Enum):
    RED = "red"

class Row(TypedDict):
    name: str
    size: Optional[int]

class Part(TypedDict, total=False):
    inner: Row

class Pair(NamedTuple):
    left: int
    right: List[float]

@dataclasses.dataclass
class Order:
    rows: List[Row]
    parts: Dict[str, Part]
    colour: Colour
    pair: Pair
    nothing: Tuple[()]
    some: Tuple[int, ...]
    either: Union[int, str]
    when: datetime.datetime
    key: uuid.UUID
    anything: Any = None

def init():
    pass

def run(data: Order) -> List[Order]:
    return []
"""

RAW_WITHOUT_IMPORTS = """
from azureml.contrib.services.aml_request import rawhttp

def init():
    pass

@rawhttp
def run(request):
    return request.method
"""

TYPED = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    pass

@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema("scale", StandardPythonParameterType(1))
@output_schema(NumpyParameterType(np.array([[1.0, 2.0]])))
def run(data, scale):
    return data * scale
"""


def serve(start: StartServer, version: str, kind: str, script: str, **options: Any) -> LiveServer:
    arguments = ("--python", str(environment(version, kind)), *options.pop("arguments", ()))
    return start("", files={"main.py": script}, arguments=arguments, **options)


def run_in(version: str, kind: str, *words: str, **options: Any) -> str:
    python = environment(version, kind) / "bin" / "python"
    done = subprocess.run(
        [str(python), *words], env=clean_environment(), capture_output=True, text=True, check=True,
        **options,
    )  # fmt: skip
    return done.stdout


def answers(server: LiveServer) -> dict[str, Any]:
    """Status and value of each answer, of a stream each; values as JSON has them."""
    found = {}
    for asked in ASKED:
        response = server.post(json=asked)
        found[asked] = response.status, [json.loads(line) for line in response.body.splitlines()]
    return found


@pytest.fixture(scope="module")
def expected(live_server: StartServer) -> dict[str, Any]:
    """The answers with one interpreter for both."""
    found = answers(live_server("", files={"main.py": PLAIN}))
    assert found["floats"][0] == found["stream"][0] == found["await"][0] == 200
    assert found["refused"][0] == found["fails"][0] == 500
    return found


@pytest.mark.parametrize("kind", ["bare", "model", "flask"])
def test_a_plain_script_answers_alike(
    live_server: StartServer, expected: dict[str, Any], version: str, kind: str
) -> None:
    """Without orjson too: every value, streams, errors."""
    server = serve(live_server, version, kind, PLAIN)

    assert server.score("version") == [int(part) for part in version.split(".")]
    assert answers(server) == expected


def test_a_model_of_its_time(own_server: StartServer, tmp_path: Path, version: str) -> None:
    """scikit-learn and numpy of that age; the model was pickled there."""
    folder = tmp_path / "azureml-models/lines/1"
    run_in(version, "model", "-c", TRAIN, str(folder / "lines.pkl"))
    rows = [[1.0, 2.0], [0.1, 7.25]]

    server = own_server(
        "",
        files={
            "main.py": MODEL,
            "azureml-models/lines/1/lines.pkl": (folder / "lines.pkl").read_bytes(),
        },
        arguments=("--python", str(environment(version, "model"))),
    )
    answer = server.score(rows)

    for predicted, (x, y) in zip(answer.pop("predicted"), rows, strict=True):
        assert math.isclose(predicted, 2 * x - y + 3, rel_tol=1e-4)
    assert math.isclose(answer.pop("half"), 0.1, rel_tol=1e-3)
    assert answer == {
        "rows": rows,
        "first": 1.0,
        "whole": [0, 1, 2],
        "big-endian": [1.5, 2.5],
        "when": ["2021-02-03T04:05:06"],
        "missing": [1.0, None],
    }


def test_a_raw_script(own_server: StartServer, version: str) -> None:
    """With the newest Flask that this Python can have."""
    answers_raw(serve(own_server, version, "flask", RAW))


def answers_raw(server: LiveServer) -> None:
    made = server.post(body=b"loud")
    assert (made.status, made.body, made.header("x-kind")) == (201, b"LOUD", "raw")
    assert server.get("/score?a=1&b=x").json() == {"args": {"a": "1", "b": "x"}, "same": "/score"}


def test_packages_of_2021(own_server: StartServer) -> None:
    """Flask 1.1, Werkzeug 1.0, numpy 1.19, no orjson: typed, raw and plain scripts answer."""
    if "3.8" not in pythons_here():
        return  # `make pythons` has said so
    answers_raw(serve(own_server, "3.8", "pinned", RAW))
    typed = serve(own_server, "3.8", "pinned", TYPED)
    assert typed.score({"data": [[1, 2], [3, 4]], "scale": 2}) == [[2.0, 4.0], [6.0, 8.0]]
    assert typed.post(json={"scale": 2}).status == 400
    assert typed.get("/swagger.json").json()["paths"]["/score"]["post"]
    plain = serve(own_server, "3.8", "pinned", PLAIN)
    assert plain.score("version") == [3, 8]


@pytest.mark.parametrize("script", [RAW, RAW_WITHOUT_IMPORTS], ids=["its own", "ours"])
def test_a_flask_that_cannot_be_imported(tmp_path: Path, script: str) -> None:
    """Flask 1.1 with the MarkupSafe that resolvers choose for it."""
    if "3.8" not in pythons_here():
        return  # `make pythons` has said so
    (tmp_path / "main.py").write_text(script)
    packages = {"Jinja2 2.11.3", "MarkupSafe"}

    ended = check(tmp_path, "--python", str(environment("3.8", "unresolved")))

    assert ended.returncode == 3
    assert all(package in ended.stdout for package in packages)
    assert "flask cannot be imported" in ended.stdout
    assert "-m pip install 'markupsafe<2.1'" in ended.stdout


def test_a_raw_script_without_flask(tmp_path: Path, version: str) -> None:
    """Also when it imports nothing of Flask's itself."""
    (tmp_path / "main.py").write_text(RAW_WITHOUT_IMPORTS)

    ended = check(tmp_path, "--python", str(environment(version, "bare")))

    assert ended.returncode == 3
    assert "Flask is not installed in the script's environment" in " ".join(said(ended.stdout))
    assert "bin/python -m pip install flask" in ended.stdout
    assert ended.stdout.splitlines()[0].split()[1:4] == ["python", "Python", version_of(version)]


def test_type_hints_describe_alike(live_server: StartServer, version: str) -> None:
    """The swagger documents, of what every Python has."""
    expected = live_server("", files={"main.py": HINTS}).get("/swagger.json?version=3.1").json()

    server = serve(live_server, version, "bare", HINTS)

    assert "properties" in json.dumps(expected["components"])
    assert server.get("/swagger.json?version=3.1").json()["components"] == expected["components"]


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scorehost", "check", "main.py", *arguments], cwd=folder,
        env=clean_environment({"PYTHONIOENCODING": "utf-8"}), capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def version_of(version: str) -> str:
    """All three numbers of this machine's Python of a version."""
    return run_in(
        version, "bare", "-c", "import platform; print(platform.python_version())"
    ).strip()


def said(report: str) -> list[str]:
    """The words of a report, without its frame."""
    return report.replace("│", " ").split()
