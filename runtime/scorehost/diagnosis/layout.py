"""How a report looks: one frame around titled sections, wrapped, bounded.

Prose wraps at 100 columns; a line that begins with four spaces, and every line of a section
that is not prose, is code or a listing and never wraps. Over a limit in bytes the middles of
the soft sections are left out, longest first; firm ones stay.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from scorehost.escaping import harmless

WIDTH = 100

_LABEL_WIDTH = 8
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Section:
    """One titled part of a report.

    Parameters
    ----------
    title : word at the left of its first line.
    lines : its text.
    prose : whether long lines wrap.
    firm : whether it stays whole however little room there is.
    joined : whether it follows the one before without a line between.
    """

    title: str
    lines: Sequence[str]
    prose: bool = False
    firm: bool = False
    joined: bool = False


def framed(
    heading: str, sections: Sequence[Section], *, ascii_only: bool = False, limit: int | None = None
) -> str:
    """Draw a frame around the sections that are not empty.

    Parameters
    ----------
    heading : the first line.
    sections : from top to bottom.
    ascii_only : draw with ASCII alone; the text keeps the characters it has.
    limit : the most bytes that the text may take in UTF-8.
    """
    parts = [_Part(section) for section in sections if any(map(str.strip, section.lines))]
    text = _drawn(heading, parts, ascii_only)
    if limit is not None:
        while len(text.encode()) > limit and _shorten(parts):
            text = _drawn(heading, parts, ascii_only)
        text = cut_middle(text, limit)
    return text


def cut_middle(text: str, limit: int) -> str:
    """Shorten text to a number of bytes, in whole lines where it has any, from its middle."""
    if len(text.encode()) <= limit:
        return text
    mark = "\n...\n"
    room = max(0, limit - len(mark))
    head = text.encode()[: room // 3].decode(errors="ignore")
    tail = text.encode()[-(room - room // 3) :].decode(errors="ignore")
    head = head[: head.rfind("\n")] if "\n" in head else head
    tail = tail[tail.find("\n") + 1 :] if "\n" in tail.rstrip("\n") else tail
    return head + mark + tail


def encodable(text: str) -> str:
    """Escape what UTF-8 and JSON cannot hold: lone surrogates, from file names for one."""
    return text.encode("utf-8", "backslashreplace").decode()


def wrapped(text: str, width: int) -> list[str]:
    """Wrap prose; keep lines that are indented by four spaces or a tab as they are."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(("    ", "\t")) or not line.strip():
            lines.append(line.rstrip())
        else:
            lines += textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return lines


class _Part:
    """A section, laid out, that can lose lines from its middle."""

    def __init__(self, section: Section) -> None:
        self.title, self.prose = section.title, section.prose
        self.firm, self.joined = section.firm, section.joined
        texts = [encodable(text.rstrip()) for text in section.lines]
        self.lines = [line for text in texts for line in _lines(text, section.prose)]
        self.left_out = 0

    @property
    def size(self) -> int:
        return sum(len(line.encode()) + 5 for line in self.lines)

    def shown(self) -> list[str]:
        if not self.left_out:
            return self.lines
        middle = len(self.lines) // 2
        mark = f"... {self.left_out} lines left out ..."
        return [*self.lines[:middle], mark, *self.lines[middle:]]

    def drop_middle(self) -> None:
        del self.lines[len(self.lines) // 2 if len(self.lines) > 1 else 0]
        self.left_out += 1


def _lines(text: str, prose: bool) -> list[str]:
    lines = [harmless(_COLOUR.sub("", line.rstrip())) for line in text.splitlines()]
    return wrapped("\n".join(lines), WIDTH - 2 - _LABEL_WIDTH) if prose else lines


def _shorten(parts: list[_Part]) -> bool:
    """Take a line out of the longest soft part; False when there is nothing left to take."""
    soft = [part for part in parts if not part.firm and part.lines]
    if not soft:
        return False
    longest = max(soft, key=lambda part: part.size)
    longest.drop_middle()
    if not longest.lines:
        parts.remove(longest)
    return True


def _drawn(heading: str, parts: Sequence[_Part], ascii_only: bool) -> str:
    top, side, foot, dash = ("+-", "|", "+-", "-") if ascii_only else ("┌─", "│", "└─", "─")
    lines = [f"{top} {heading} ".ljust(WIDTH, dash)]
    for part in parts:
        if part is not parts[0] and not part.joined:
            lines.append(side)
        lines += [f"{side} {line}".rstrip() for line in _titled(part)]
    lines.append(foot.ljust(WIDTH, dash))
    return "\n".join(lines) + "\n"


def _titled(part: _Part) -> list[str]:
    if not part.prose:
        return [part.title] * bool(part.title) + [f"  {line}" for line in part.shown()]
    lead = part.title.ljust(_LABEL_WIDTH)
    blank = " " * _LABEL_WIDTH
    return [(blank if number else lead) + line for number, line in enumerate(part.shown())]
