"""orjson where this interpreter has one, else Python's json behind the same names.

The server always has orjson; a script's own environment need not. The server's is used where it
fits the script's Python, without becoming importable there. Without any, json does what the
worker asks of orjson: it encodes the same values, slower where they are large
(docs/environments.md), and leaves to the careful writer (``scoring/json_writer.py``) what it has no
form for: NaN as null, text that goes in as it is, halves of characters.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final


def _servers_orjson() -> Any:
    """Import the server's orjson, if it fits this Python, where the script does not find it.

    An image has one for each Python that a script can have, below ``for_scripts/``. Otherwise it
    lies beside scorehost and fits if the server has the same version of Python.
    """
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec
    from pathlib import Path

    here = Path(__file__).resolve().parent
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    spec = PathFinder.find_spec("orjson", [str(here / "for_scripts" / python), str(here.parent)])
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    names = ("orjson", "orjson.orjson")
    sys.modules["orjson"] = module
    try:
        spec.loader.exec_module(module)
    except Exception:  # it is for another Python
        return None
    finally:
        for name in names:
            sys.modules.pop(name, None)
    return module


try:
    import orjson
except Exception:  # it is not there, or is broken
    if not TYPE_CHECKING:
        orjson = _servers_orjson()

_OLDEST: Final = (3, 10, 1)
"""Older ones write big-endian arrays as other numbers, and integers over 64 bits as null."""


def _dumps(
    value: Any, default: Callable[[Any], Any] | None = None, option: int | None = None
) -> bytes:
    """Encode a value as ``orjson.dumps`` does.

    Raises
    ------
    TypeError
        json cannot encode it, or the hook raised an exception; that is the cause.
    """
    del option  # json does what orjson would have to be asked for
    try:
        text = json.dumps(
            value, default=default, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode()
    except Exception as error:
        raise TypeError(str(error)) from error


def _not_json(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_not_json)


def _loads(text: bytes | bytearray | memoryview | str) -> Any:
    """Decode JSON as ``orjson.loads`` does.

    Raises
    ------
    ValueError
        It is not JSON, or is nested too deeply.
    """
    try:
        return _DECODER.decode(text if isinstance(text, str) else str(text, "utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


class _Fragment:
    """Stands for text that goes in as it is; json refuses it, as it refuses any unknown object."""

    def __init__(self, _contents: bytes | str) -> None:
        raise TypeError("json cannot write text as it is")


def _can_be_used(library: Any) -> bool:
    """Whether this is an orjson that writes everything right."""
    version = re.findall(r"\d+", str(getattr(library, "__version__", "")))[:3]
    return tuple(map(int, version)) >= _OLDEST and hasattr(library, "Fragment")


IS_ORJSON: Final = _can_be_used(orjson)
"""Whether orjson does the work."""

WARNING: Final = (
    f"orjson {getattr(orjson, '__version__', '')} in the script's environment is too old to be "
    f"used: large answers take longer than with {'.'.join(map(str, _OLDEST))} or later."
    if orjson is not None and not IS_ORJSON
    else ""
)
"""What the log says about an orjson that is not used."""

dumps: Final = orjson.dumps if IS_ORJSON else _dumps
loads: Final = orjson.loads if IS_ORJSON else _loads
Fragment: Final = orjson.Fragment if IS_ORJSON else _Fragment

OPT_NON_STR_KEYS: Final = orjson.OPT_NON_STR_KEYS if IS_ORJSON else 0
OPT_PASSTHROUGH_DATACLASS: Final = orjson.OPT_PASSTHROUGH_DATACLASS if IS_ORJSON else 0
OPT_SERIALIZE_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY if IS_ORJSON else 0
