"""Follows a build: its current step, the output of that step, and all output in a file.

The output may be that of docker's classic builder, BuildKit (in plain form) or podman.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CLASSIC = re.compile(r"Step (?P<at>\d+)/(?P<of>\d+) : (?P<what>.*)")
PODMAN = re.compile(r"(\[\d+/\d+\] )?STEP (?P<at>\d+)/(?P<of>\d+): (?P<what>.*)")
BUILDKIT = re.compile(r"#(?P<id>\d+) \[(?:\S+ )?\s*(?P<at>\d+)/(?P<of>\d+)\] (?P<what>.*)")
BUILDKIT_ERROR = re.compile(r"#(?P<id>\d+) ERROR")
BUILDKIT_OUTPUT = re.compile(r"#(?P<id>\d+) (?:[\d.]+ )?(?P<text>.*)")

NOISE = re.compile(
    r" --->|-->|Removing intermediate container|#\d+ (DONE|CACHED|sha256:|extracting|transferring)"
)
COLOUR = re.compile(r"\x1b\[[\d;]*m")
"""The classic builder colours what steps write to standard error, even outside a terminal."""

KEPT_LINES = 400


@dataclass
class Step:
    """A step of a build, and its output."""

    what: str
    said: list[str] = field(default_factory=list)


class BuildLog:
    """The log of one build.

    Parameters
    ----------
    file : every line is written to it.
    on_step : called when a step begins, with its number, the number of steps, and its text.
    """

    def __init__(self, file: Path, on_step: Callable[[int, int, str], None]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.path = file
        self._stream = file.open("w", encoding="utf-8")
        self._on_step = on_step
        self._by_id: dict[str, Step] = {}  # BuildKit runs steps in parallel
        self.step = Step("")

    def __enter__(self) -> BuildLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def line(self, text: str) -> None:
        """Take one line of the build's output."""
        text = COLOUR.sub("", text)
        self._stream.write(text + "\n")
        found = CLASSIC.match(text) or PODMAN.match(text) or BUILDKIT.match(text)
        if found:
            self._begin(found)
        elif failed := BUILDKIT_ERROR.match(text):
            self.step = self._by_id.get(failed["id"], self.step)
        else:
            self._output(text)

    def _begin(self, found: re.Match[str]) -> None:
        number = found.groupdict().get("id")
        if number in self._by_id:
            return  # BuildKit repeats a step's name before more of its output
        self.step = Step(found["what"])
        if number:
            self._by_id[number] = self.step
        self._on_step(int(found["at"]), int(found["of"]), self.step.what)

    def _output(self, text: str) -> None:
        found = BUILDKIT_OUTPUT.match(text)
        step = self._by_id.get(found["id"], self.step) if found else self.step
        if text.strip() and not NOISE.match(text):
            step.said.append(found["text"] if found else text)
            del step.said[:-KEPT_LINES]


def name_for(tag: str) -> str:
    """A file name made from an image's name."""
    return re.sub(r"[^\w.-]+", "-", tag).strip("-") or "image"
