"""TOML, for every Python: the standard library has it since 3.11."""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class NotToml(ValueError):
    """The text is not TOML; the message says where."""


def loads(text: str) -> dict[str, Any]:
    """Read a document."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotToml(str(error)) from error
    return document
