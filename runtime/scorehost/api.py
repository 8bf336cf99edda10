"""What an entry script may import from us: ``rawhttp``, ``AMLRequest`` and ``AMLResponse``.

Flask is imported when one of the classes is first asked for: a script that does without pays
nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from scorehost.raw_http import AMLRequest, AMLResponse

__all__ = ["AMLRequest", "AMLResponse", "rawhttp"]

RAW_MARK: Final = "__scorehost_raw__"
"""Attribute of a function that :func:`rawhttp` marked."""

Function = TypeVar("Function", bound="Callable[..., object]")


def rawhttp(function: Function) -> Function:
    """Mark ``run()``: it takes the HTTP request itself, and every method reaches it."""
    setattr(getattr(function, "__func__", function), RAW_MARK, True)
    return function


def __getattr__(name: str) -> Any:
    if name in {"AMLRequest", "AMLResponse"}:
        from scorehost import raw_http

        return getattr(raw_http, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
