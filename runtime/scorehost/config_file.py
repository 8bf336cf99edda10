"""The config file: one JSON object, with the names of the environment.

A file that was named must be there and be right. One that merely lies where a config file may
lie (``config.json`` in the app root, or beside the entry script) may just as well belong to a
model: it is read only when it holds the name of a setting.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorehost.errors import UsageError
from scorehost.names import nearest_variable
from scorehost.settings import Settings

FILE_NAME = "config.json"
LARGEST = 1 << 20
"""Bytes; no file of settings comes near, and a start should not parse a vocabulary."""


@dataclass(frozen=True)
class ConfigFile:
    """A config file and its entries: values as text, by key."""

    path: Path
    entries: dict[str, str]


def find_config_file(
    settings: Settings, known: Container[str]
) -> tuple[ConfigFile | None, list[str]]:
    """The config file that applies, and a line about each that was passed over.

    Parameters
    ----------
    settings : with what the command line and the environment set.
    known : the names of all settings.

    Raises
    ------
    UsageError
        The file that was named cannot be used.
    """
    if settings.config_file is not None:
        return ConfigFile(settings.config_file, read_entries(settings.config_file)), []
    passed_over: list[str] = []
    for folder in dict.fromkeys((settings.root, settings.script.parent)):
        file = folder / FILE_NAME
        if not file.is_file():
            continue
        try:
            entries = read_entries(file, LARGEST)
        except UsageError as error:
            passed_over.append(f"{error} It is ignored.")
            continue
        if any(key in known for key in entries):
            return ConfigFile(file, entries), passed_over
        passed_over.append(f"{file} is ignored: none of its keys is a setting.{_meant(entries)}")
    return None, passed_over


def _meant(keys: Iterable[str]) -> str:
    """The settings that were probably meant, if any were."""
    guesses = [(key, nearest_variable(key)) for key in keys if key.isupper()]
    return "".join(f" Did you mean {near} by {key}?" for key, near in guesses if near)


def read_entries(file: Path, largest: int | None = None) -> dict[str, str]:
    """Read a config file's entries as text.

    Raises
    ------
    UsageError
        The file is not there, is larger than it may be, or is not one JSON object.
    """
    try:
        if largest is not None and file.stat().st_size > largest:
            raise UsageError(f"The config file {file} has more than {largest} bytes.")
        document = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The config file {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"The config file {file} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise UsageError(f"The config file {file} is JSON, but not an object.")
    return {str(key): _as_text(value) for key, value in document.items() if value is not None}


def _as_text(value: Any) -> str:
    """A JSON value as the environment would hold it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return json.dumps(value)
