"""Did you mean: the known name that looks most like the one somebody wrote.

Names are compared by what they set, without the ``SCOREHOST_``, ``AZUREML_`` and ``AML_`` in
front, and by their flags too: people write ``SCOREHOST_WORKERS`` for ``WORKER_COUNT``.
"""

from __future__ import annotations

from collections.abc import Iterable

from scorehost.settings import declarations, without_prefix

LIKE = 0.75
"""How alike two names must be, from 0 to 1: one slip in four letters."""


def nearest(name: str, names: Iterable[str], like: float = LIKE) -> str | None:
    """The one of these names that looks most like this one, if any does."""
    import difflib  # not at the start of every command: only a mistake needs it

    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=like)
    return matches[0] if matches else None


def nearest_variable(name: str, like: float = LIKE) -> str | None:
    """The variable of the setting that was probably meant."""
    known: dict[str, str] = {}
    for item in declarations().values():
        known.setdefault(_spoken(item.flag), item.variable)
        known[_spoken(item.variable)] = item.variable
    match = nearest(_spoken(name), known, like)
    return known[match] if match else None


def nearest_flag(flag: str, others: Iterable[str] = ()) -> str | None:
    """The flag of the setting that was probably meant, or another of the command's own."""
    known = {_spoken(other): other for other in others}
    for item in declarations().values():
        known.setdefault(_spoken(item.variable), item.flag)
        known[_spoken(item.flag)] = item.flag
    match = nearest(_spoken(flag), known)
    return known[match] if match else None


def _spoken(name: str) -> str:
    """What a variable and its flag have in common: ``--model-dir`` is MODEL_DIR."""
    return without_prefix(name.lstrip("-").replace("-", "_").upper())
