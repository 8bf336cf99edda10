"""JSON as editors keep it, with comments and trailing commas: read, and changed in one place.

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
    """Plain JSON of the same length: comments and trailing commas become spaces."""
    plain = list(text)
    comma = -1
    for match in _TOKEN.finditer(text):
        if match["comment"]:
            plain[match.start() : match.end()] = [
                "\n" if character == "\n" else " " for character in match[0]
            ]
            continue
        mark = match["mark"]
        if (
            mark in ("}", "]")
            and comma >= 0
            and not "".join(plain[comma + 1 : match.start()]).strip()
        ):
            plain[comma] = " "
        comma = match.start() if mark == "," else -1
    return "".join(plain)


def with_configuration(text: str, configuration: dict[str, Any]) -> str:
    """The text of a ``launch.json`` with this configuration in it.

    One of the same name is replaced; otherwise it comes first. Line ends are those of the text.

    Raises
    ------
    UsageError
        The text is not a ``launch.json``.
    """
    plain = without_comments(text)
    try:
        document = json.loads(plain)
    except ValueError as error:
        raise UsageError(f"launch.json is not JSON, even without its comments: {error}.") from None
    if not isinstance(document, dict) or not isinstance(document.get("configurations", []), list):
        raise UsageError("launch.json holds no list of configurations, so nothing was changed.")
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    start, end, made = _change(text, plain, document, configuration)
    return text[:start] + made.replace("\n", end_of_line) + text[end:]


def _change(
    text: str, plain: str, document: dict[str, Any], configuration: dict[str, Any]
) -> tuple[int, int, str]:
    """Which part of the text is replaced, and by what."""
    if "configurations" not in document:
        return _as_member(text, plain, configuration, alone=not document)
    start, end, items = _items(plain)
    for (first, last), item in zip(items, document["configurations"], strict=True):
        if isinstance(item, dict) and item.get("name") == configuration["name"]:
            return first, last, _written(configuration, 2)
    made = f"\n        {_written(configuration, 2)}"
    if items:
        return start + 1, start + 1, made + ","
    if text[start + 1 : end].strip():  # a comment, which stays
        return start + 1, start + 1, made
    return start + 1, end, made + "\n    "


def _as_member(
    text: str, plain: str, configuration: dict[str, Any], *, alone: bool
) -> tuple[int, int, str]:
    start = plain.index("{") + 1
    end = len(text) - len(text[start:].lstrip(" "))
    made = f'\n    "configurations": [\n        {_written(configuration, 2)}\n    ]'
    return start, end, made + ("\n" if alone else ",")


def _written(configuration: dict[str, Any], depth: int) -> str:
    return json.dumps(configuration, indent=4, ensure_ascii=False).replace(
        "\n", "\n" + "    " * depth
    )


def _items(plain: str) -> tuple[int, int, list[tuple[int, int]]]:
    """Where the list of configurations is, and each of its items."""
    decoder = json.JSONDecoder()
    depth, key_at = 0, -1
    for match in _TOKEN.finditer(plain):
        if match["mark"] in ("{", "["):
            depth += 1
        elif match["mark"] in ("}", "]"):
            depth -= 1
        elif depth == 1 and match["string"] == '"configurations"':
            after = plain[match.end() :].lstrip()
            if after.startswith(":"):
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
