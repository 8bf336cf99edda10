"""Text to value: the kinds of value a setting can have.

Every kind refuses what it does not accept and says what it would have. Nothing here knows which
settings there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Parser: TypeAlias = Callable[[str], Any]


class Refusal(ValueError):
    """A kind's refusal; its text says what would have been accepted."""


def text(value: str) -> str:
    """Any text."""
    return value


def path(value: str) -> Path:
    """A path; ``~`` is the home folder."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise Refusal("a path; the home folder in this one is not known") from None


TRUE_WORDS = frozenset({"true", "1", "yes", "on", "t", "y"})
FALSE_WORDS = frozenset({"false", "0", "no", "off", "f", "n"})


def boolean(value: str) -> bool:
    """True or false, in the words that people use."""
    lowered = value.strip().lower()
    if lowered in TRUE_WORDS:
        return True
    if lowered in FALSE_WORDS:
        return False
    raise Refusal("true or false (also 1, 0, yes, no, on, off)")


def only_true(value: str) -> bool:
    """True for the word true, false for everything else, as the contract has it for some."""
    return value.strip().lower() == "true"


def whole(low: int, high: int | None = None) -> Parser:
    """Make a kind: whole numbers between two bounds."""
    bounds = f"from {low} to {high}" if high is not None else f"of at least {low}"

    def parse(value: str) -> int:
        try:
            number = int(value.strip())
        except ValueError:
            raise Refusal(f"a whole number {bounds}") from None
        if number < low or (high is not None and number > high):
            raise Refusal(f"a whole number {bounds}")
        return number

    return parse


def seconds(low: float = 0.0) -> Parser:
    """Make a kind: durations in seconds."""

    def parse(value: str) -> float:
        try:
            number = float(value.strip())
        except ValueError:
            raise Refusal(f"a number of seconds of at least {low:g}") from None
        if not low <= number < float("inf"):
            raise Refusal(f"a number of seconds of at least {low:g}")
        return number

    return parse


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(value: str) -> int:
    """A size in bytes; K, M, G and T are powers of 1024."""
    match = re.fullmatch(r"\s*([0-9]+)\s*([KMGT]?)(?:i?B)?\s*", value, re.IGNORECASE)
    if match is None:
        raise Refusal("a size in bytes, with or without K, M, G or T (powers of 1024)")
    return int(match[1]) * _UNITS[match[2].upper()]


def as_size(number: int) -> str:
    """A size as a person would write it."""
    for unit, factor in reversed(_UNITS.items()):
        if number and number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)


def choice(*accepted: str) -> Parser:
    """Make a kind: one word out of a few."""

    def parse(value: str) -> str:
        lowered = value.strip().lower()
        if lowered not in accepted:
            raise Refusal("one of " + ", ".join(accepted))
        return lowered

    return parse


MOST_WORKERS = 512
"""More than any machine this was tried on can feed; it catches a slip of the keyboard."""


def worker_count(value: str) -> int | None:
    """A number of scoring workers, or ``auto`` (None) to count CPUs and memory."""
    if value.strip().lower() == "auto":
        return None
    try:
        return int(whole(1, MOST_WORKERS)(value))
    except Refusal:
        raise Refusal(f"a whole number from 1 to {MOST_WORKERS}, or auto") from None


def comma_list(value: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


def log_level(value: str) -> str:
    """A level of Python's logging, by name."""
    upper = value.strip().upper()
    upper = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(upper, upper)
    if upper not in LEVELS:
        raise Refusal("one of " + ", ".join(LEVELS))
    return upper
