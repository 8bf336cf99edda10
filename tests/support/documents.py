"""Documents that are run: what a reader would type, typed, and what they would see, compared.

In a Markdown file, in order:

- a block whose fence says ``title=NAME`` is written to that file;
- in a ``console`` block, lines with a ``$`` prompt are run by bash, and the lines below each
  are what must be seen. ``…`` stands for anything. A server is left running until the next
  one is started, or the document ends;
- every other block is only read.

Port 5001 becomes a free one, so that documents can run beside each other.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.client import Address
from support.server import COMMANDS, LiveServer, clean_environment, free_port

ROOT = Path(__file__).parents[2]
USUAL_PORT = "5001"
SERVERS = ("scorehost serve", "azmlinfsrv")
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
CLOSE_ENOUGH = 0.05
"""Relative: a model trained by another version of its library answers a little differently."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    title: str
    body: str


@dataclass(frozen=True)
class Command:
    """What is typed at one prompt, and what must be seen then."""

    line: str
    seen: str


def blocks(document: str) -> Iterator[Block]:
    """Every fenced block, in order."""
    for match in FENCE.finditer(document):
        language, _, attributes = match["info"].partition(" ")
        title = re.search(r"title=(\S+)", attributes)
        yield Block(language, title[1] if title else "", match["body"])


def commands(body: str) -> Iterator[Command]:
    """Every command of a console block; a trailing backslash goes on in the next line."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        line = re.match(r"(?:.*\\\n)*.*", part)
        assert line is not None, "matches anything"
        yield Command(line[0], part[line.end() :].strip())


class Reader:
    """Somebody who types what a document says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.server: LiveServer | None = None
        self._servers = 0

    def follow(self, document: str) -> int:
        """Do everything the document says; the number of commands typed."""
        typed = 0
        for block in blocks(document):
            if block.title:
                (self.folder / block.title).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / block.title).write_text(block.body, "utf-8")
            elif block.language == "console":
                for command in commands(block.body):
                    self.type(command)
                    typed += 1
        return typed

    def type(self, command: Command) -> None:
        """Type one command and compare what it shows."""
        line = command.line.replace(USUAL_PORT, str(self.port))
        if line.startswith(SERVERS):
            self.serve(line)
            return
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=clean_environment(self.settings()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        expected = command.seen.replace(USUAL_PORT, str(self.port))
        log = self.server.log[-3000:] if self.server else ""
        assert alike(expected, done.stdout.strip()), (
            f"$ {line}\n{done.stdout}\n--- the document shows\n{expected}\n--- server\n{log}"
        )

    def serve(self, line: str) -> None:
        """Start the server that the line names, in place of the one before."""
        self.leave()
        self._servers += 1
        words = shlex.split(line)
        self.server = LiveServer(
            words, self.folder, self.settings(), Address(port=self.port)
        ).wait_ready()

    def leave(self) -> None:
        """Stop the server, as Ctrl-C would."""
        if self.server is not None:
            server, self.server = self.server, None
            server.check_stopped()

    def settings(self) -> dict[str, str]:
        """Variables a reader has, in effect: the commands found, curl quiet as on a terminal."""
        home = self.folder.with_name(self.folder.name + ".home")
        home.mkdir(exist_ok=True)
        (home / ".curlrc").write_text("silent\nshow-error\n")
        path = f"{COMMANDS}:{clean_environment()['PATH']}"
        return {"PATH": path, "CURL_HOME": str(home), "SERVER_PORT": str(self.port)}


def alike(expected: str, seen: str) -> bool:
    """The same, but for ``…`` and for the last digits of numbers in JSON."""
    if not expected or expected == seen:
        return True
    pattern = re.escape(expected).replace("…", ".*")
    if re.fullmatch(pattern, seen, re.DOTALL):
        return True
    lines, others = expected.splitlines(), seen.splitlines()
    return len(lines) == len(others) and all(map(_alike_as_json, lines, others))


def _alike_as_json(expected: str, seen: str) -> bool:
    try:
        return _close(json.loads(expected), json.loads(seen))
    except ValueError:
        return expected == seen


def _close(expected: Any, seen: Any) -> bool:
    if isinstance(expected, dict) and isinstance(seen, dict):
        same = list(expected) == list(seen)
        return same and all(_close(expected[key], seen[key]) for key in expected)
    if isinstance(expected, list) and isinstance(seen, list):
        return len(expected) == len(seen) and all(map(_close, expected, seen))
    if isinstance(expected, float) and isinstance(seen, float):
        return seen == pytest.approx(expected, rel=CLOSE_ENOUGH, abs=0.02)
    return type(expected) is type(seen) and expected == seen
