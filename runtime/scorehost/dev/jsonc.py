"""Reads the JSON of editors, with comments and trailing commas, and changes one place in it.

Only the text that has to change is touched: comments, order and layout of everything else stay.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from scorehost.errors import UsageError

_TOKEN: Final = re.compile(
    r'(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<mark>[{}\[\],:])',
    re.DOTALL,
)


def without_comments(text: str) -> str:
    """Plain JSON of the same length, in which comments and trailing commas became spaces."""
    plain = list(text)
    comma = -1
    for match in _TOKEN.finditer(text):
        if match["comment"]:
            plain[match.start() : match.end()] = re.sub(r"[^\n]", " ", match[0])
            continue
        mark = match["mark"]
        between = plain[comma + 1 : match.start()]
        if mark in ("}", "]") and comma >= 0 and not "".join(between).strip():
            plain[comma] = " "
        comma = match.start() if mark == "," else -1
    return "".join(plain)


def with_configuration(text: str, configuration: dict[str, Any]) -> str:
    """The text of a ``launch.json`` with this configuration in it.

    One of the same name is replaced; otherwise the new one comes first. Line ends stay as they are.

    Raises
    ------
    UsageError
        The text is not a ``launch.json``.
    """
    plain = without_comments(text)
    try:
        document = json.loads(plain)
    except ValueError as error:
        raise UsageError(
            f"launch.json is not valid JSON, even without its comments: {error}."
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("configurations", []), list):
        raise UsageError("launch.json has no list of configurations, so nothing was changed.")
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    start, end, made = _change(text, plain, document, configuration)
    return text[:start] + made.replace("\n", end_of_line) + text[end:]


def _change(
    text: str, plain: str, document: dict[str, Any], configuration: dict[str, Any]
) -> tuple[int, int, str]:
    """The start and end of the text to replace, and its replacement."""
    if "configurations" not in document:
        start = plain.index("{") + 1
        end = len(text) - len(text[start:].lstrip(" "))
        made = f'\n    "configurations": [\n        {_written(configuration)}\n    ]'
        return start, end, made + ("," if document else "\n")
    start, end, items = _items(plain)
    for (first, last), item in zip(items, document["configurations"], strict=True):
        if isinstance(item, dict) and item.get("name") == configuration["name"]:
            return first, last, _written(configuration)
    made = f"\n        {_written(configuration)}"
    if items:
        return start + 1, start + 1, made + ","
    if text[start + 1 : end].strip():  # a comment, which stays
        return start + 1, start + 1, made
    return start + 1, end, made + "\n    "


def _written(configuration: dict[str, Any]) -> str:
    text = json.dumps(configuration, indent=4, ensure_ascii=False)
    return text.replace("\n", "\n" + " " * 8)


def _items(plain: str) -> tuple[int, int, list[tuple[int, int]]]:
    """Where the list of configurations starts and ends, and where each of its items does."""
    decoder = json.JSONDecoder()
    depth, key_at = 0, -1
    for match in _TOKEN.finditer(plain):
        if match["mark"] in ("{", "["):
            depth += 1
        elif match["mark"] in ("}", "]"):
            depth -= 1
        elif (
            depth == 1
            and match["string"] == '"configurations"'
            and plain[match.end() :].lstrip().startswith(":")
        ):
            key_at = match.end()
    start = plain.index("[", key_at)
    items: list[tuple[int, int]] = []
    position = start + 1
    while True:
        position += len(plain[position:]) - len(plain[position:].lstrip(" \t\r\n,"))
        if plain[position] == "]":
            return start, position, items
        _, last = decoder.raw_decode(plain, position)
        items.append((position, last))
        position = last
