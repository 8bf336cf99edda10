"""From what ``run()`` returned to JSON: orjson first, the careful writer when it refuses.

NaN needs care: orjson writes null for it without a word. Where that is not wanted, a result
without any ``null`` is already right, and the others are written again by the careful writer.
"""

from __future__ import annotations

from sys import modules
from typing import Any, Final

import orjson

from scorehost.scoring.json_writer import JsonWriter
from scorehost.scoring.simplify import orjson_default

_PLAIN: Final = orjson.OPT_PASSTHROUGH_DATACLASS
# With this option orjson imports numpy by itself as soon as it meets a type it does not know.
_NUMPY: Final = _PLAIN | orjson.OPT_SERIALIZE_NUMPY
_KEYS: Final = orjson.OPT_NON_STR_KEYS


class Encoder:
    """Turns any value into JSON, or says where in the value it cannot.

    Parameters
    ----------
    nan : what NaN and infinity become: "null", "literal" (the words) or "error".
    root : what the value is called in the path of an error.
    """

    def __init__(self, nan: str = "null", root: str = "result") -> None:
        self._nan = nan
        self._root = root
        self._null_is_null = nan == "null"

    def encode(self, value: Any) -> bytes:
        """Encode one value.

        Raises
        ------
        ResultNotEncodable
            Something in the value has no JSON form; the error names the path to it.
        """
        options = _NUMPY if "numpy" in modules else _PLAIN
        try:
            encoded = orjson.dumps(value, orjson_default, options)
        except TypeError as error:
            refusal = error
        else:
            return encoded if self._null_is_null else self._checked(value, encoded)
        # Out here, so that an error of the script's does not drag orjson's along.
        return self._carefully(value, options, refusal)

    def _checked(self, value: Any, encoded: bytes) -> bytes:
        if b"null" not in encoded:
            return encoded
        return JsonWriter(self._nan, self._root).write(value)

    def _carefully(self, value: Any, options: int, refusal: TypeError) -> bytes:
        cause = refusal.__cause__
        if cause is not None and not isinstance(cause, Exception):
            raise cause  # an interrupt, or sys.exit(), while a value was simplified
        # Not at once: with this option orjson takes twice as long for ordinary keys.
        if self._null_is_null and not options & _KEYS and "Dict key" in str(refusal):
            try:
                return orjson.dumps(value, orjson_default, options | _KEYS)
            except TypeError as error:
                refusal = error
            return self._carefully(value, options | _KEYS, refusal)
        return JsonWriter(self._nan, self._root).write(value)
