"""``Dockerfile.steps``: the user's own part of the Dockerfile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from scorehost.errors import UsageError
from scorehost.images.text import read_text

STEPS_FILE = "Dockerfile.steps"

_CONTINUED = re.compile(r"\\\s*$")
_WITH_DOCUMENT = re.compile(r"(RUN|COPY|ADD)\s", re.IGNORECASE)
_DOCUMENT = re.compile(r"\s\d*<<(?P<indented>-?)(?P<end>[^\s<]+)")


def find_steps(folder: Path, named: Path | None) -> Path | None:
    """The file with the user's own build steps, if there is one."""
    if named is None:
        usual = folder / STEPS_FILE
        return usual if usual.is_file() else None
    for candidate in (named, folder / named):
        if candidate.is_file():
            return candidate
    raise UsageError(f"--docker-file {named} does not exist.")


def read_steps(file: Path | None) -> str:
    """The text of the steps; a FROM among them is refused."""
    if file is None:
        return ""
    text = read_text(file, "replace")
    if any(re.match(r"FROM\s", each, re.IGNORECASE) for each in instructions(text)):
        raise UsageError(
            f"{file} has a FROM. It may have only steps (RUN, COPY, ENV, …), which are inserted "
            "into the generated Dockerfile; choose the base image with --base-image."
        )
    return text


def instructions(text: str) -> Iterator[str]:
    """Each instruction as one line, without comments and without the bodies of heredocs."""
    lines = iter(text.splitlines())
    collected = ""
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # also between the lines of one instruction
        collected += _CONTINUED.sub("", line)
        if _CONTINUED.search(line):
            continue
        yield collected.strip()
        _skip_documents(collected.strip(), lines)
        collected = ""
    if collected:
        yield collected.strip()


def _skip_documents(instruction: str, lines: Iterator[str]) -> None:
    if not _WITH_DOCUMENT.match(instruction):
        return
    for found in _DOCUMENT.finditer(instruction):
        end = re.sub(r"[\"'\\]", "", found["end"])
        for line in lines:
            if (line.lstrip("\t") if found["indented"] else line) == end:
                break
