"""What run() returns, and how it arrives."""

from __future__ import annotations

from typing import Any

import pytest

from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("evaluates.py")


CALENDAR = "__import__('datetime')"
NUMPY = "__import__('numpy')"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{'a': [1, 2.5, None, True]}", {"a": [1, 2.5, None, True]}),
        ("(1, 2)", [1, 2]),
        ("{1: 'a', 2: 'b'}", {"1": "a", "2": "b"}),
        ("2 ** 100", 2**100),
        ("'é \U0001f389'", "é 🎉"),
        (f"{NUMPY}.arange(3)", [0, 1, 2]),
        (f"{NUMPY}.float32(0.5)", 0.5),
        (f"{{'p': {NUMPY}.array([[1.5]])}}", {"p": [[1.5]]}),
        (f"{NUMPY}.bool_(True)", True),
        (f"{CALENDAR}.date(2020, 1, 2)", "2020-01-02"),
        (f"{CALENDAR}.datetime(2020, 1, 2, 3, 4, 5)", "2020-01-02T03:04:05"),
        ("__import__('uuid').UUID(int=1)", "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_values_arrive_as_json(server: LiveServer, source: str, expected: Any) -> None:
    assert server.score(source) == expected


def test_data_frames_arrive_as_rows_or_columns(server: LiveServer) -> None:
    source = "__import__('pandas').DataFrame({'a': [1, 2], 'b': ['x', 'y']})"

    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    columns = {"a": [1, 2], "b": ["x", "y"]}

    assert server.score(source) in (rows, columns)


FAKE_TORCH = """
import numpy
class Tensor:
    def __init__(self, values): self.values = numpy.array(values)
    def detach(self): return self
    def cpu(self): return self
    def numpy(self): return self.values
    def tolist(self): return self.values.tolist()
"""


def test_tensors_arrive_as_lists(live_server: StartServer) -> None:
    """By what a tensor can do: the real package is far too large for a test."""
    server = live_server("evaluates.py", files={"torch.py": FAKE_TORCH})

    answer = server.score("{'p': __import__('torch').Tensor([[0.5, 1.0]])}")

    assert answer == {"p": [[0.5, 1.0]]}


def test_decimals_keep_their_value(server: LiveServer) -> None:
    assert float(server.score("__import__('decimal').Decimal('1.25')")) == 1.25


def test_dataclasses_and_pydantic_models_become_objects(server: LiveServer) -> None:
    dataclass = "\n".join(
        [
            "from dataclasses import dataclass",
            "@dataclass",
            "class P:",
            "    x: int",
            "    y: list",
            "result = [P(1, [P(2, [])])]",
        ]
    )
    model = "\n".join(
        [
            "import pydantic",
            "class M(pydantic.BaseModel):",
            "    x: int",
            "result = {'m': M(x=1)}",
        ]
    )

    assert server.score(dataclass) == [{"x": 1, "y": [{"x": 2, "y": []}]}]
    assert server.score(model) == {"m": {"x": 1}}


def test_what_cannot_be_encoded_is_named_by_its_path_in_the_log(server: LiveServer) -> None:
    source = "{'rows': [1, 2, {'score': object()}]}"

    response = server.post(json=source, headers={"x-request-id": "not-encodable"})

    assert response.status == 500
    assert "score" not in response.message
    line = server.wait_for_line("result.rows[2].score")
    assert "object" in line


def test_nan_and_infinity_are_null_by_default(server: LiveServer) -> None:
    assert server.score("[float('nan'), float('inf'), 1.0]") == [None, None, 1.0]


def test_a_result_that_holds_itself_is_an_error_not_an_end(server: LiveServer) -> None:
    response = server.post(json="result = []; result.append(result)")

    assert response.status == 500
    assert server.score("1") == 1


def test_a_large_result_arrives_whole(server: LiveServer) -> None:
    answer = server.score("'x' * 5_000_000")

    assert len(answer) == 5_000_000
