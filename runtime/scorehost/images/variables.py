"""Environment variables for an image, as ``--env`` and conda's files give them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scorehost.errors import UsageError

_NAME = re.compile(r"[A-Za-z_]\w*")
_LINE_ENDS = re.compile(r"[\r\n\0]")


def read_variables(values: Iterable[str]) -> dict[str, str]:
    """Read the values of ``--env``, each ``NAME=VALUE``."""
    variables = {}
    for value in values:
        name, equals, content = value.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise UsageError(f"--env {value} is not of the form NAME=VALUE.")
        check_variable(name, content, f"--env {name}")
        variables[name] = content
    return variables


def check_variable(name: str, value: str, place: str) -> None:
    """Refuse what cannot be written into a Dockerfile."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{place}: {name!r} is not a valid variable name. Use letters, digits and _."
        )
    if _LINE_ENDS.search(value):
        raise UsageError(f"{place}: the value has more than one line; it must be a single line.")
