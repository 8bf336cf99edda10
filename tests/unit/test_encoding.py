"""From what run() returned to JSON."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import subprocess
import sys
import types
import uuid
import warnings
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scorehost.errors import ResultNotEncodable
from scorehost.scoring.encoding import Encoder
from scorehost.scoring.interrupted import Interrupted
from scorehost.scoring.json_writer import DEEPEST, JsonWriter
from scorehost.scoring.simplify import duration


def encode(value: Any, nan: str = "null") -> str:
    """The JSON text of a value."""
    return Encoder(nan).encode(value).decode()


def problem(value: Any, nan: str = "null") -> str:
    """What is said of a value that cannot be encoded."""
    with pytest.raises(ResultNotEncodable) as caught:
        Encoder(nan).encode(value)
    return str(caught.value)


class Foo:
    pass


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    HIGH = 7


class Word(str, enum.Enum):
    YES = "yes"


@dataclasses.dataclass
class Point:
    x: Any
    _hidden: Any = None


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    b: str = "b"


class Prediction(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    label: str = pydantic.Field("cat", alias="Label")
    day: dt.date = dt.date(2020, 1, 2)
    scores: Any = None


class Pair(collections.namedtuple("Pair", "a b")):
    pass


class Text(str):
    __slots__ = ()


class Real(float):
    pass


UTC = dt.timezone.utc
RECORD = np.array([(1, 2.5, "x"), (3, 4.5, "y")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U3")])


# -- Python's own -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", '"text"'),
        ("é 🎉", '"é 🎉"'),
        ('"\\\n\x00', '"\\"\\\\\\n\\u0000"'),
        ("lone \ud800", '"lone \\ud800"'),
        ({"\udfff": 1}, '{"\\udfff":1}'),
        (True, "true"),
        (None, "null"),
        (2**64, "18446744073709551616"),
        ([-(2**63) - 1], "[-9223372036854775809]"),
        (1.0, "1.0"),
        ((1, (2,)), "[1,[2]]"),
        (Pair(1, 2), "[1,2]"),
        (Text("x"), '"x"'),
        (Real(1.5), "1.5"),
        ([Real(1.5), 2**70], "[1.5,1180591620717411303424]"),
        (dt.datetime(2020, 1, 2, 3, 4, 5, 6), '"2020-01-02T03:04:05.000006"'),
        (dt.datetime(2020, 1, 2, tzinfo=UTC), '"2020-01-02T00:00:00+00:00"'),
        (dt.date(2020, 1, 2), '"2020-01-02"'),
        (dt.time(1, 2), '"01:02:00"'),
        (dt.time(1, 2, tzinfo=UTC), '"01:02:00+00:00"'),
        (dt.timedelta(days=1, hours=2, seconds=1.5), '"P1DT2H1.5S"'),
        (dt.timedelta(0), '"PT0S"'),
        (dt.timedelta(minutes=-90), '"-PT1H30M"'),
        (decimal.Decimal("1.10000000000000000000000001"), "1.10000000000000000000000001"),
        ([decimal.Decimal("1E+3"), 2**70], "[1E+3,1180591620717411303424]"),
        (decimal.Decimal("NaN"), "null"),
        (decimal.Decimal("sNaN"), "null"),
        (decimal.Decimal("-Infinity"), "null"),
        (uuid.UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (Colour.RED, "1"),
        ([Colour.BLUE, Level.HIGH, Word.YES], '["blue",7,"yes"]'),
        (b"bytes \xff", '"Ynl0ZXMg/w=="'),
        (bytearray(b"x"), '"eA=="'),
        (memoryview(b"y"), '"eQ=="'),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset("a"), '["a"]'),
        (Point(1), '{"x":1,"_hidden":null}'),
        (Point(Point([2])), '{"x":{"x":[2],"_hidden":null},"_hidden":null}'),
        (Slotted(1), '{"a":1,"b":"b"}'),
        (pathlib.PurePosixPath("/a/b"), '"/a/b"'),
        (collections.OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (collections.UserDict(a=[1]), '{"a":[1]}'),
        (types.MappingProxyType({"a": 1}), '{"a":1}'),
        (collections.Counter("aab"), '{"a":2,"b":1}'),
        (collections.deque([1, 2]), "[1,2]"),
        (range(3), "[0,1,2]"),
        ({"a": 1}.keys(), '["a"]'),
        ({"a": 1}.values(), "[1]"),
        ({"a": 1}.items(), '[["a",1]]'),
    ],
)
def test_pythons_own_types(value: Any, text: str):
    assert encode(value) == text
    assert encode({"in": [value]}) == f'{{"in":[{text}]}}'


def test_sets_of_what_has_no_order_are_lists():
    assert set(json.loads(encode({"a", 1, None}))) == {"a", 1, None}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (1, "1"),
        (-1.5, "-1.5"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (np.float32("inf"), "Infinity"),
        (True, "true"),
        (None, "null"),
        (2**70, "1180591620717411303424"),
        (Colour.RED, "1"),
        (Word.YES, "yes"),
        (Text("t"), "t"),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (dt.datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00+00:00"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (decimal.Decimal("1.50"), "1.50"),
        (np.int64(3), "3"),
        (np.float64(0.5), "0.5"),
        (np.str_("n"), "n"),
        (pd.Timestamp("2020-01-02"), "2020-01-02T00:00:00"),
    ],
)
@pytest.mark.parametrize("nan", ["null", "literal"])
def test_keys_become_text(key: Any, text: str, nan: str):
    """By orjson's own way and by the careful one alike."""
    assert encode({"first": None, key: 1}, nan) == f'{{"first":null,"{text}":1}}'


@pytest.mark.parametrize("nan", ["null", "literal", "error"])
def test_keys_that_are_not_finite_do_not_collide(nan: str):
    """As keys they are text, whatever they are as values."""
    value = {float("nan"): 1, float("inf"): 2, None: 3, "a": {float("-inf"): "x"}}

    assert encode(value, nan) == '{"NaN":1,"Infinity":2,"null":3,"a":{"-Infinity":"x"}}'


def test_integers_have_as_many_digits_as_python_writes():
    assert encode(10**4000) == "1" + "0" * 4000
    assert problem([10**5000]) == "result[0]: int of 16610 bits is too long to write"


# -- numpy --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
        (np.array([[1, 2], [3, 4]]).T, "[[1,3],[2,4]]"),
        (np.arange(6)[::2], "[0,2,4]"),
        (np.array(3), "3"),
        (np.array([], dtype=float), "[]"),
        (np.zeros((2, 0, 3)), "[[],[]]"),
        (np.array([1.5, np.nan, np.inf]), "[1.5,null,null]"),
        (np.array([True, False]), "[true,false]"),
        (np.array([1, 2], dtype="i1"), "[1,2]"),
        (np.array([2**64 - 1], dtype="u8"), "[18446744073709551615]"),
        (np.array([1.5], dtype="f2"), "[1.5]"),
        (np.array([0.1], dtype="f4"), "[0.1]"),
        (np.array([1.5], dtype=np.longdouble), "[1.5]"),
        (np.array([[1, 2]], dtype=">i4"), "[[1,2]]"),
        (np.array(["a", "bc"]), '["a","bc"]'),
        (np.array([b"ab"]), '["YWI="]'),
        (np.array([None, 1, "x", np.array([1.5])], dtype=object), '[null,1,"x",[1.5]]'),
        (np.array([["a", 1], [None, 2.5]], dtype=object), '[["a",1],[null,2.5]]'),
        (RECORD, '[{"a":1,"b":2.5,"c":"x"},{"a":3,"b":4.5,"c":"y"}]'),
        (RECORD.reshape(2, 1)[1:], '[[{"a":3,"b":4.5,"c":"y"}]]'),
        (RECORD[0], '{"a":1,"b":2.5,"c":"x"}'),
        (RECORD.view(np.recarray)[1:], '[{"a":3,"b":4.5,"c":"y"}]'),
        (np.void(b"ab"), '"YWI="'),
        (np.ma.masked_array([1, 2], mask=[0, 1]), "[1,null]"),
        (np.ma.masked_array([[0.1, 2]], mask=[[0, 1]], dtype="f4"), "[[0.1,null]]"),
        (np.ma.masked, "null"),
        (np.ma.masked_array(3.5), "3.5"),
        (np.array([[90]], dtype="m8[m]"), '[["PT1H30M"]]'),
        (np.timedelta64(-3, "M"), '"-P3M"'),
        (np.timedelta64(5, "ns"), '"PT0.000000005S"'),
        (np.timedelta64(5), "5"),
        (np.timedelta64("NaT"), "null"),
        (np.float64(1.5), "1.5"),
        (np.float32(0.1), "0.1"),
        (np.float16(1.5), "1.5"),
        (np.longdouble(2), "2.0"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.str_("s"), '"s"'),
        (np.bytes_(b"s"), '"cw=="'),
        (np.float64("nan"), "null"),
    ],
)
def test_numpy(value: Any, text: str):
    assert encode(value) == text
    assert encode({"in": [value]}) == f'{{"in":[{text}]}}'


VISITS = np.array(
    [("2020-01-02", "NaT", 0.1), ("NaT", "2020-01-02", 2)],
    dtype=[("day", "M8[D]"), ("at", "M8[ns]"), ("score", "f4")],
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array(["2020-01-02", "NaT"], "M8[ns]"), '["2020-01-02T00:00:00",null]'),
        (np.array(["2020-01-02", "NaT"], "M8[s]"), '["2020-01-02T00:00:00",null]'),
        (np.array([["2020-01-02", "NaT"]], "M8[D]"), '[["2020-01-02T00:00:00",null]]'),
        (np.array(["2020-01-02", "NaT"], "M8[W]"), '["2020-01-02T00:00:00",null]'),
        (np.array(["2020-01-02T03", "NaT"], "M8[h]"), '["2020-01-02T03:00:00",null]'),
        (np.array(["2020-01-02T03:04", "NaT"], "M8[m]"), '["2020-01-02T03:04:00",null]'),
        (np.array(["2020-03", "NaT"], "M8[M]"), '["2020-03-01T00:00:00",null]'),
        (np.array(["2020", "NaT"], "M8[Y]"), '["2020-01-01T00:00:00",null]'),
        (np.array(["2020-01-02"], ">M8[s]"), '["2020-01-02T00:00:00"]'),
        (np.array(["NaT"], "M8"), "[null]"),
        (np.array([], "M8[s]"), "[]"),
        (np.array("2020-01-02", "M8[D]"), '"2020-01-02T00:00:00"'),
        (np.array([2**62], "M8[D]"), '["12626367463885247-04-15T00:00:00"]'),
        (np.array(["2020-01-02"], "M8[D]").astype("M8[2D]"), '["2020-01-01T00:00:00"]'),
        (np.array(["2020-01-02T03:07"], "M8[15m]"), '["2020-01-02T03:00:00"]'),
        (np.array(["2020-01-02T03:04:19"], "M8[10s]"), '["2020-01-02T03:04:10"]'),
        (np.datetime64("2020-01-02T03:07").astype("M8[15m]"), '"2020-01-02T03:00:00"'),
        (np.datetime64("2020-01-02T03:04"), '"2020-01-02T03:04:00"'),
        (np.datetime64("2020-01-02", "W"), '"2020-01-02T00:00:00"'),
        (np.datetime64("2020-01-02T03:04:05.100"), '"2020-01-02T03:04:05.100000"'),
        (np.datetime64("2020-01-02T03:04:05.123456", "ns"), '"2020-01-02T03:04:05.123456"'),
        (np.datetime64("2020-01-02T03:04:05.123456780"), '"2020-01-02T03:04:05.123456780"'),
        (np.datetime64(1, "as"), '"1970-01-01T00:00:00.000000000000000001"'),
        *((np.datetime64("NaT", unit), "null") for unit in ("Y", "W", "D", "h", "m", "s", "ns")),
        (np.datetime64("NaT"), "null"),
        (VISITS[:1], '[{"day":"2020-01-02T00:00:00","at":null,"score":0.1}]'),
        (VISITS[1], '{"day":null,"at":"2020-01-02T00:00:00","score":2.0}'),
        (
            np.ma.masked_array(["2020-01-02", "2020-01-03", "NaT"], [0, 1, 0], "M8[ns]"),
            '["2020-01-02T00:00:00",null,null]',
        ),
        (np.ma.masked_array([[90, 1]], [[0, 1]], "m8[m]"), '[["PT1H30M",null]]'),
        (
            np.ma.masked_array(VISITS[:1], mask=[(0, 0, 1)]),
            '[{"day":"2020-01-02T00:00:00","at":null,"score":null}]',
        ),
    ],
)
@pytest.mark.parametrize("nan", ["null", "literal"])
def test_datetimes_of_numpy(value: Any, text: str, nan: str):
    """None of them is orjson's to write: it takes NaT for a date, and dies of units like 15m."""
    others = {"many": list(np.arange(30)), "big": np.zeros(5000)}

    assert encode(value, nan) == text
    assert encode({"in": [value]}, nan) == f'{{"in":[{text}]}}'
    assert f'"in":[{text}]' in encode({**others, "in": [value]}, nan)
    assert JsonWriter(nan).write(value).decode() == text


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i8", "u8", "bool"])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_numbers_look_alike_however_many_and_with_what(kind: str, count: int):
    """Few are written one by one, many in bulk, and beside what orjson refuses carefully."""
    array = (np.arange(count) / 10).astype(kind)
    text = encode(array)

    assert encode(list(array)) == text
    assert encode([list(array), list(array)]) == f"[{text},{text}]"
    assert encode([list(array), array, np.datetime64("NaT")]) == f"[{text},{text},null]"
    assert encode([list(array), array, 2**70]) == f"[{text},{text},{2**70}]"
    assert encode({"a": list(array), 1: array}) == f'{{"a":{text},"1":{text}}}'


def test_many_numbers_that_contain_themselves():
    cycle: list[Any] = list(np.arange(50))
    cycle.append(cycle)

    assert problem(cycle) == "result[50]: list that contains itself"


def test_a_matrix_is_a_list_of_lists():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix([[1, 2], [3, 4]])

    assert encode(matrix) == "[[1,2],[3,4]]"


def test_what_is_too_large_for_a_double_is_infinite():
    assert encode(np.array([np.finfo(np.longdouble).max]), "literal") == "[Infinity]"


@pytest.mark.parametrize("value", [np.complex64(1j), np.array([0, 1j])[1]])
def test_complex_numbers_have_no_json(value: Any):
    assert problem({"a": [value]}) == (
        "result.a[0]: object of type complex has no JSON form; return its real and imaginary parts"
    )


def test_what_acts_as_an_array_is_one():
    """jax, tensorflow, polars, …: whatever offers __array__."""

    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.array([[1, 2]])

    assert encode([Tensor()]) == "[[[1,2]]]"


# -- pandas -------------------------------------------------------------------------------


FRAME = pd.DataFrame(
    {
        "a": [1, 2],
        "b": [1.5, np.nan],
        "c": ["x", None],
        "d": pd.to_datetime(["2020-01-02", None]),
        "e": pd.Categorical(["u", "v"]),
        "f": pd.array([1, None], dtype="Int64"),
        "g": pd.to_timedelta([90, None], unit="s"),
    }
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (FRAME.head(1), [{"a": 1, "b": 1.5, "c": "x", "d": "2020-01-02T00:00:00", "e": "u",
                          "f": 1, "g": "PT1M30S"}]),
        (FRAME.tail(1), [{"a": 2, "b": None, "c": None, "d": None, "e": "v", "f": None,
                          "g": None}]),
        (pd.DataFrame([[1, 2]]), [{"0": 1, "1": 2}]),
        (pd.DataFrame(index=range(2)), [{}, {}]),
        (pd.DataFrame({"a": []}), []),
        (pd.Series([1, 2], index=["x", "y"]), [1, 2]),
        (pd.Series([1.5, None]), [1.5, None]),
        (pd.Index(["a"]), ["a"]),
        (pd.MultiIndex.from_tuples([("a", 1)]), [["a", 1]]),
        (pd.date_range("2020", periods=1), ["2020-01-01T00:00:00"]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
        (pd.array([1, None], dtype="Int64"), [1, None]),
        (pd.array(["x", None], dtype="string"), ["x", None]),
        (pd.Timestamp("2020-01-02 03:04:05.123456789", tz="UTC"),
         "2020-01-02T03:04:05.123456789+00:00"),
        (pd.Timedelta(days=1, nanoseconds=5), "P1DT0.000000005S"),
        (pd.Period("2020-01"), "2020-01"),
        (pd.Interval(0, 1), "(0, 1]"),
        (pd.NaT, None),
        (pd.NA, None),
    ],
)  # fmt: skip
def test_pandas(value: Any, expected: Any):
    assert json.loads(encode(value)) == expected
    assert json.loads(encode({"in": [value]})) == {"in": [expected]}


def test_columns_of_one_name_would_lose_values():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])

    assert problem({"table": frame}) == "result.table: DataFrame with duplicate column names: a"


def test_columns_on_several_levels_have_no_text():
    frame = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")]))

    assert problem(frame).startswith("result[0][('a', 'b')]: key of type tuple")


# -- pydantic and torch -------------------------------------------------------------------


def test_pydantic_models():
    assert encode([Prediction()]) == '[{"Label":"cat","day":"2020-01-02","scores":null}]'
    assert encode(Prediction(scores=np.array([0.5]))) == (
        '{"Label":"cat","day":"2020-01-02","scores":[0.5]}'
    )
    assert problem(Prediction(scores=[1, Foo()])).startswith("result.scores[1]: object of type Foo")


def test_pydantic_serializers_are_the_models_own():
    class Model(pydantic.BaseModel):
        secret: pydantic.SecretStr = pydantic.SecretStr("swordfish")
        value: int = 1

        @pydantic.field_serializer("value")
        def shown(self, value: int) -> str:
            return f"<{value}>"

    assert json.loads(encode(Model())) == {"secret": "**********", "value": "<1>"}


class FakeTensor:
    """What the encoder uses of torch's tensors; torch itself is too large for the tests."""

    is_sparse = False

    def __init__(
        self, values: Any, *, grad: bool = False, on_gpu: bool = False, bf16: bool = False
    ):
        self.values, self.grad, self.on_gpu, self.bf16 = values, grad, on_gpu, bf16

    def detach(self) -> FakeTensor:
        return FakeTensor(self.values, on_gpu=self.on_gpu, bf16=self.bf16)

    def cpu(self) -> FakeTensor:
        return FakeTensor(self.values, grad=self.grad, bf16=self.bf16)

    def to_dense(self) -> FakeTensor:
        return FakeTensor(self.values)

    def numpy(self) -> Any:
        if self.grad or self.is_sparse:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.on_gpu or self.bf16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.array(self.values)

    def tolist(self) -> Any:
        return list(self.values)


class FakeSparse(FakeTensor):
    is_sparse = True

    def detach(self) -> FakeSparse:
        return self

    cpu = detach


@pytest.mark.parametrize(
    "tensor",
    [
        FakeTensor([0.5, 1.5]),
        FakeTensor([0.5, 1.5], grad=True),
        FakeTensor([0.5, 1.5], on_gpu=True),
        FakeTensor([0.5, 1.5], bf16=True),
        FakeSparse([0.5, 1.5]),
    ],
)
def test_torch_tensors(monkeypatch: pytest.MonkeyPatch, tensor: FakeTensor):
    torch = types.ModuleType("torch")
    torch.Tensor = FakeTensor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)

    assert encode({"logits": tensor}) == '{"logits":[0.5,1.5]}'


def test_a_module_that_only_has_the_name_of_a_library_is_no_library(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))

    class Own(collections.UserList):  # type: ignore[type-arg]
        pass

    assert encode(Own([1])) == "[1]"


def test_no_library_is_imported_to_encode():
    """Not by orjson either, which imports numpy when it may and meets a type it does not know."""
    code = """
import sys, decimal
from scorehost.scoring.encoding import Encoder
Encoder().encode([decimal.Decimal(1), {1, 2}, 2 ** 70, {1: 2}])
print(sorted({"numpy", "pandas", "torch", "pydantic", "flask", "asyncio"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


# -- NaN and infinity ---------------------------------------------------------------------

NOT_FINITE = [
    (math.nan, "NaN"),
    (math.inf, "Infinity"),
    (-math.inf, "-Infinity"),
    (np.float32("nan"), "NaN"),
    (decimal.Decimal("NaN"), "NaN"),
    (decimal.Decimal("-Infinity"), "-Infinity"),
]


@pytest.mark.parametrize(("value", "word"), NOT_FINITE)
def test_what_is_not_finite_is_null_a_word_or_an_error(value: Any, word: str):
    assert encode([1, value, None]) == "[1,null,null]"
    assert encode([1, value, None], "literal") == f"[1,{word},null]"
    assert problem([1, {"a": value}], "error") == (
        f"result[1].a: {word} is not a JSON number (SCOREHOST_NAN is set to error)"
    )


@pytest.mark.parametrize(
    ("value", "literal", "path"),
    [
        (np.array([[1.5, np.nan]]), "[[1.5,NaN]]", "result[0][1]"),
        (np.array([[1.5], [np.inf]]).T, "[[1.5,Infinity]]", "result[0][1]"),
        (pd.DataFrame({"a": [1.5, np.nan]}), '[{"a":1.5},{"a":NaN}]', "result[1].a"),
    ],
)
def test_what_is_not_finite_in_bulk(value: Any, literal: str, path: str):
    assert encode(value, "literal") == literal
    assert problem(value, "error").startswith(f"{path}: ")


@pytest.mark.parametrize("nan", ["literal", "error"])
@pytest.mark.parametrize(
    "value",
    [
        {"a": None, "b": [1.5, "null", np.array([1, 2]), np.array([1.5])]},
        [np.ones((2, 2), dtype=">f4").T, None, dt.date(2020, 1, 2), Colour.RED, Point(1)],
        FRAME.head(1).assign(z=None),
    ],
)
def test_finite_results_are_the_same_under_every_setting(value: Any, nan: str):
    assert json.loads(encode(value, nan)) == json.loads(encode(value))


# -- What cannot be encoded ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Foo(), "result: object of type Foo has no JSON form; return what it holds as"),
        ([0, 1, 2, {"score": Foo()}], "result[3].score: object of type Foo"),
        ({"a b": Foo()}, "result['a b']: object of type Foo"),
        ({1: {"x": (Foo(),)}}, "result[1].x[0]: object of type Foo"),
        (Point([Foo()]), "result.x[0]: object of type Foo"),
        ({"set": {len}}, "result.set[0]: object of type builtin_function_or_method"),
        (Point, "result: object of type type"),
        (np.array([Foo()], dtype=object), "result[0]: object of type Foo"),
        (pd.DataFrame({"a": [1, Foo()]}), "result[1].a: object of type Foo"),
        ({"a": iter([])}, "result.a: object of type list_iterator has no JSON form; inside a"),
        ({"a": (x for x in ())}, "result.a: object of type generator has no JSON form; inside a"),
        ({(1, 2): 3}, "result[(1, 2)]: key of type tuple; keys must be text, numbers or dates"),
        ({Foo: 3}, "result[<class "),
        (2j, "result: object of type complex has no JSON form; return its real and"),
    ],
)
def test_the_path_leads_to_what_cannot_be_encoded(value: Any, said: str):
    assert problem(value).startswith(said)


def test_the_path_has_the_name_of_its_root():
    with pytest.raises(ResultNotEncodable) as caught:
        Encoder(root="chunk").encode([Foo()])

    assert caught.value.path == "chunk[0]"


def test_sparse_matrices_are_told_how_to_become_dense():
    class Sparse:
        def toarray(self) -> Any:
            return None

    assert problem(Sparse()).endswith("has no JSON form; return its toarray()")


def test_what_contains_itself():
    inner: list[Any] = [1]
    inner.append({"again": inner})
    cycle = Point(None)
    cycle.x = cycle

    assert problem({"a": inner}) == "result.a[1].again: list that contains itself"
    assert f"nested more than {DEEPEST} levels deep" in problem(cycle)
    assert len(problem(cycle)) < 400


def test_the_same_value_twice_is_no_cycle():
    shared = [2**70]

    assert encode([shared, shared, ()]) == f"[[{2**70}],[{2**70}],[]]"


@pytest.mark.parametrize("depth", [300, 5000])
def test_deep_nesting_is_written(depth: int):
    value: Any = "core"
    for _ in range(depth):
        value = [value]

    assert encode(value) == "[" * depth + '"core"' + "]" * depth


def test_what_never_becomes_simple():
    class Endless(collections.UserDict):  # type: ignore[type-arg]
        def keys(self) -> Any:
            return ["deeper"]

        def __iter__(self) -> Any:
            return iter(["deeper"])

        def __getitem__(self, key: Any) -> Any:
            return Endless()

    class Itself(enum.Enum):
        ONE = object()

    assert "levels deep" in problem(Endless())
    assert problem([Itself.ONE]).startswith("result[0]: object of type object")


def test_an_error_of_the_values_own_code_is_the_cause():
    class Broken(collections.UserList):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Any:
            raise LookupError("no such row")

        __getitem__ = __iter__

    with pytest.raises(ResultNotEncodable) as caught:
        Encoder().encode({"rows": Broken()})

    assert (
        str(caught.value)
        == "result.rows: Broken cannot be converted to JSON: LookupError: no such row"
    )
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("interrupt", [Interrupted, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("key", ["a", 1])
def test_an_interrupt_is_not_taken_for_a_refusal(interrupt: type[BaseException], key: Any):
    """orjson wraps whatever is raised while it asks for a simpler value."""

    class Slow(collections.UserList):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            raise interrupt

        __getitem__ = __len__ = __iter__

    with pytest.raises(interrupt):
        Encoder().encode({key: Slow()})


# -- In general ---------------------------------------------------------------------------


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
    max_leaves=25,
)


@given(JSON_VALUES)
@example({"a\ud800": ["\udfff\ud800"]})
@example([2**64, -(2**64), 5e-324, 1.7976931348623157e308, -0.0])
def test_any_json_value_survives(value: Any):
    assert json.loads(Encoder().encode(value)) == value


@given(JSON_VALUES)
def test_the_careful_writer_and_orjson_agree(value: Any):
    try:
        fast = orjson.dumps(value)
    except TypeError:
        fast = json.dumps(value).encode()

    assert json.loads(JsonWriter("null").write(value)) == json.loads(fast)


UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "15m", "2D", "100ns")
DATETIMES = st.builds(
    lambda counts, unit: np.array(counts, "i8").view(f"M8[{unit}]"),
    st.lists(st.integers(-(10**15), 10**15) | st.just(-(2**63)), max_size=4),
    st.sampled_from(UNITS),
)


@given(DATETIMES)
def test_datetimes_come_back_from_their_text(values: Any):
    texts = json.loads(encode(values))

    assert json.loads(JsonWriter("null").write([*values])) == texts
    assert np.array_equal(np.array(texts, dtype=values.dtype), values, equal_nan=True)


ANYTHING = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.complex_numbers()
    | st.sampled_from([Foo(), len, Foo, Colour.BLUE, pd.NA, pd.NaT, np.datetime64("NaT")])
    | st.builds(np.float32, st.floats(width=32))
    | DATETIMES
    | DATETIMES.map(lambda values: np.ma.masked_array(values, np.arange(len(values)) % 2)),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.integers() | st.text() | st.dates() | st.tuples(st.text()), inner)
        | st.builds(Point, inner)
        | st.lists(inner, max_size=3).map(lambda items: np.array([*items, None], dtype=object)[:-1])
    ),
    max_leaves=15,
)


@given(ANYTHING, st.sampled_from(["null", "literal", "error"]))
def test_anything_is_json_or_refused_with_its_place(value: Any, nan: str):
    try:
        encoded = Encoder(nan).encode(value)
    except ResultNotEncodable as error:
        refused = error.path
        assert refused.startswith("result")
    else:
        json.loads(encoded, parse_constant=None if nan == "literal" else _no_constant)


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


@given(st.timedeltas())
def test_a_duration_says_all_of_the_time_span(span: dt.timedelta):
    total = (span.days * 86_400 + span.seconds) * 10**9 + span.microseconds * 1000

    text = duration(total)

    assert pydantic.TypeAdapter(dt.timedelta).validate_python(text) == span
