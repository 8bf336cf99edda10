"""What the interpreters of scripts may lack: Python's own functions, for versions before 3.10.

The files that run there (``tools/worker_side.py`` lists them) support Python from
:data:`OLDEST` on. A function that came later, and that several of them want, stands here; it goes
when the oldest version is one that has it.
"""

from __future__ import annotations

import functools
import os
import pkgutil
import sys
from typing import Final

OLDEST: Final = (3, 8)
"""The oldest Python that scripts can run under (docs/environments.md)."""


def without_prefix(text: str, prefix: str) -> str:
    """Do what ``str.removeprefix`` does, from Python 3.9 on."""
    return text[len(prefix) :] if text.startswith(prefix) else text


def without_suffix(text: str, suffix: str) -> str:
    """Do what ``str.removesuffix`` does, from Python 3.9 on."""
    return text[: -len(suffix)] if suffix and text.endswith(suffix) else text


@functools.lru_cache(maxsize=None)
def standard_modules() -> frozenset[str]:
    """Return ``sys.stdlib_module_names``, from Python 3.10 on; before, what is in its folders."""
    names = getattr(sys, "stdlib_module_names", None)
    if names is not None:
        return frozenset(names)
    folder = os.path.dirname(os.__file__)  # noqa: PTH120 - where Python keeps its own modules
    listed = pkgutil.iter_modules([folder, f"{folder}/lib-dynload"])
    return frozenset([*sys.builtin_module_names, *(module.name for module in listed)])
