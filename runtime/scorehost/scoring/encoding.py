"""From what ``run()`` returned to the bytes of an answer."""

from __future__ import annotations

import sys
from typing import Any

import orjson

from scorehost.errors import ResultNotEncodable


class Encoder:
    """Turns any value into JSON, or says where in the value it cannot.

    Parameters
    ----------
    nan : what NaN and infinity become: "null", "literal" (the words) or "error".
    """

    def __init__(self, nan: str = "null") -> None:
        self._nan = nan

    def encode(self, value: Any) -> bytes:
        """Encode one value; None becomes an empty object."""
        if value is None:
            return b"{}"
        options = orjson.OPT_NON_STR_KEYS
        if "numpy" in sys.modules:
            options |= orjson.OPT_SERIALIZE_NUMPY
        try:
            return orjson.dumps(value, option=options)
        except TypeError as error:
            raise ResultNotEncodable("result", str(error)) from None
