"""What a value looks like, without what is in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorehost.scoring.shapes import shape_of


class Hostile:
    @property
    def shape(self) -> Any:
        raise RuntimeError("no shape")


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("plain", "text of 5 characters"),
        ("", "text of 0 characters"),
        ('{"a": 1}', {"text of 8 characters": {"a": "int"}}),
        ("[1, 2.5]", {"text of 8 characters": "list of 2: float/int"}),
        ("{no", "text of 3 characters, not JSON"),
        ("[" * 5000, "text of 5000 characters, not JSON"),
        (b"secret", "6 bytes"),
        (None, "NoneType"),
        (1.5, "float"),
        ([], "list of 0"),
        ([[1, 2], [3, 4]], "list of 2: list of 2: int"),
        ([{"a": "x"}, {"a": "y"}], [2, {"a": "text of 1 character"}]),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, {"a": {"b": {"c": {"d": "object of 1 names"}}}}),
        (dict.fromkeys(range(21), 0), {**{str(n): "int" for n in range(20)}, "…": "1 more"}),
        (np.zeros((2, 3)), "ndarray of float64, shape (2, 3)"),
        (pd.DataFrame({"a": [1]}), {"DataFrame of": "1 rows", "columns": {"a": "int64"}}),
        (Hostile(), "Hostile"),
    ],
)  # fmt: skip
def test_a_shape(value: Any, shape: Any):
    assert shape_of(value) == shape


@given(st.text(min_size=3, alphabet="ßþð"))
def test_what_is_in_a_value_is_not_shown(secret: str):
    for value in (secret, [secret], {"a": secret}, f'["{secret}"]', secret.encode()):
        assert secret not in repr(shape_of(value))
