"""Text from elsewhere, made harmless for whoever reads it in a log or on a terminal.

A client, a script or a file's name may hold what a terminal acts on, what ends a line, and what
turns the order of the letters about. All of it is shown instead, as Python would write it.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Final

MISLEADING: Final = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls (C0, DEL, C1) but for tabs and line feeds
    r"\u2028-\u202e\u2066-\u2069\u061c"  # line and paragraph separators; directions
    r"\u200b\u200e\u200f\u2060-\u2065\u206a-\u206f\ufeff\xad\u180b-\u180f\ufff9-\ufffb"  # not seen
    r"\u115f\u1160\u3164\uffa0\U000e0000-\U000e007f"  # not seen either: fillers, tags
    r"\ud800-\udfff"  # surrogates, which UTF-8 cannot hold
)
"""Characters, as a class of a regular expression has them."""

_MISLEADING: Final = re.compile(f"[{MISLEADING}]")


def harmless(text: str) -> str:
    """Escape whatever misleads terminals and people; tabs and line feeds stay."""
    return _MISLEADING.sub(lambda found: _escaped(found[0]), text)


def harmless_json(document: str) -> str:
    """Do the same in JSON, of which the values stay as they are."""
    return _MISLEADING.sub(_escape_in_json, document)


@functools.lru_cache(maxsize=None)  # of some hundred characters, and surrogates
def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _escape_in_json(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]
