"""Text to value: the kinds of value a setting can have.

Every kind refuses what it does not accept and says what it would have. Nothing here knows which
settings there are.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorehost.older_python import without_prefix, without_suffix


class Refusal(ValueError):
    """A kind's refusal; its text says what would have been accepted."""


def number_text(value: float) -> str:
    """Write a number as people do: without a point that it does not need, and no exponent."""
    return str(int(value)) if value.is_integer() else str(value)


@dataclass(frozen=True)
class Kind:
    """One kind of value.

    Parameters
    ----------
    parse : makes a value of text, or refuses.
    show : writes a value for people.
    variable : writes a value for an environment variable.
    none : what stands for None.
    from_json : makes a value of what JSON can hold.
    is_switch : whether its flag may stand alone, for true.
    """

    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str
    variable: Callable[[Any], str] = str
    none: str = ""
    from_json: Callable[[Any], Any] = lambda value: value
    is_switch: bool = False

    def __call__(self, value: str) -> Any:
        """Make a value of text.

        Raises
        ------
        Refusal
            It is not of this kind.
        """
        return self.parse(value)


text = Kind(str)


def _path(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise Refusal("a path; the home folder that this one begins with is not known") from None


path = Kind(
    _path,
    variable=lambda value: str(value.absolute()),  # scripts may change their working directory
    from_json=Path,
)
"""A path; ``~`` is the home folder."""


TRUE_WORDS = frozenset({"true", "1", "yes", "on", "t", "y"})
FALSE_WORDS = frozenset({"false", "0", "no", "off", "f", "n"})


def _boolean(value: str) -> bool:
    lowered = value.strip().lower()
    if lowered in TRUE_WORDS:
        return True
    if lowered in FALSE_WORDS:
        return False
    raise Refusal("true or false (also 1, 0, yes, no, on, off)")


def _truth(value: object) -> str:
    return "true" if value else "false"


boolean = Kind(_boolean, _truth, _truth, is_switch=True)
"""True or false, in the words that people use."""
only_true = Kind(lambda value: value.strip().lower() == "true", _truth, _truth, is_switch=True)
"""True for the word true, false for everything else, as the contract has it for some."""


def whole(low: int, high: int | None = None) -> Kind:
    """Return the kind of whole numbers between two bounds."""
    bounds = f"from {low} to {high}" if high is not None else f"of at least {low}"

    def parse(value: str) -> int:
        try:
            number = int(value.strip())
        except ValueError:
            raise Refusal(f"a whole number {bounds}") from None
        if number < low or (high is not None and number > high):
            raise Refusal(f"a whole number {bounds}")
        return number

    return Kind(parse)


def seconds(low: float = 0.0) -> Kind:
    """Return the kind of durations in seconds."""

    def parse(value: str) -> float:
        try:
            number = float(value.strip())
        except ValueError:
            raise Refusal(f"a number of seconds of at least {low:g}") from None
        if not low <= number < float("inf"):
            raise Refusal(f"a number of seconds of at least {low:g}")
        return number

    return Kind(parse, number_text, number_text)  # scripts read WORKER_TIMEOUT with int()


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _size(value: str) -> int:
    match = re.fullmatch(r"\s*([0-9]+)\s*([KMGT]?)(?:i?B)?\s*", value, re.IGNORECASE)
    if match is None:
        raise Refusal("a size in bytes, with or without K, M, G or T (powers of 1024)")
    return int(match[1]) * _UNITS[match[2].upper()]


def as_size(number: int) -> str:
    """Write a size exactly, as a setting takes it."""
    for unit, factor in reversed(_UNITS.items()):
        if number and number % factor == 0:
            return f"{number // factor}{unit}"
    return str(number)


def bytes_text(amount: int, *, in_mib: bool = False) -> str:
    """Write a number of bytes for people to compare; ``in_mib`` as whole MiB, however many."""
    if in_mib:
        return f"{amount >> 20} MiB"
    for prefix in "GMK":
        if amount >= _UNITS[prefix]:
            return f"{amount / _UNITS[prefix]:.1f} {prefix}iB"
    return f"{amount} bytes"


size = Kind(_size, as_size)
"""A size in bytes; K, M, G and T are powers of 1024."""


def choice(*accepted: str) -> Kind:
    """Return the kind of one word out of a few."""

    def parse(value: str) -> str:
        lowered = value.strip().lower()
        if lowered not in accepted:
            raise Refusal("one of " + ", ".join(accepted))
        return lowered

    return Kind(parse)


MOST_WORKERS = 512
"""More than any machine this was tried on can feed; it catches a slip of the keyboard."""


def _worker_count(value: str) -> int | None:
    if value.strip().lower() == "auto":
        return None
    try:
        return int(whole(1, MOST_WORKERS)(value))
    except Refusal:
        raise Refusal(f"a whole number from 1 to {MOST_WORKERS}, or auto") from None


worker_count = Kind(_worker_count, none="auto")
"""A number of scoring workers, or ``auto`` (None) to count CPUs and memory."""


def _comma_list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


comma_list = Kind(_comma_list, ",".join, ",".join, from_json=tuple)
"""Names separated by commas."""


def _host_names(value: str) -> tuple[str, ...]:
    names = tuple(without_suffix(name.lower(), ".") for name in _comma_list(value))
    if not all(re.fullmatch(r"[a-z0-9_.-]+|\*", name) for name in names):
        raise Refusal("host names without scheme or port, separated by commas, or * for any")
    return names


host_names = Kind(_host_names, ",".join, ",".join, from_json=tuple)
"""Names of hosts in small letters, separated by commas; ``*`` is any."""


def _address(value: str) -> str:
    plain = without_suffix(without_prefix(value.strip(), "["), "]")
    if plain.lower() == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        raise Refusal(
            "an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
        ) from None


address = Kind(_address)
"""An IP address, or ``localhost``; of other names nobody could say who reaches them."""


LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


def _log_level(value: str) -> str:
    upper = value.strip().upper()
    upper = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(upper, upper)
    if upper not in LEVELS:
        raise Refusal("one of " + ", ".join(LEVELS))
    return upper


log_level = Kind(_log_level)
"""A level of Python's logging, by name."""
