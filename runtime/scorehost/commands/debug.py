"""``scorehost debug``: a debugger for a server that runs, and away with it again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from scorehost.commands.arguments import CommandLine
from scorehost.dev.control import ask
from scorehost.dev.places import exposure, shown_address
from scorehost.errors import UsageError
from scorehost.sources import resolve

ACTIONS = ("open", "close", "status")


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Open or close the debugger of a running server."""
    line = CommandLine("debug", argument="open|close|status")
    line.parser.add_argument("action", metavar="open|close|status", choices=ACTIONS)
    parsed = line.read(arguments)
    if parsed is None:
        return 0
    settings = resolve(parsed.flags, environ, spelling=parsed.spelling).settings
    answer = ask(settings.port, parsed.own.action, os.getuid())
    if "error" in answer:
        raise UsageError(str(answer["error"]))
    print(told(answer))
    return 0


def told(answer: Mapping[str, Any]) -> str:
    """The answer for a person."""
    if not answer["listening"]:
        return "No debugger is listening."
    state = "paused at a breakpoint" if answer["paused"] else "attached"
    client = f"a client is {state}" if answer["attached"] else "no client is attached"
    where = shown_address(answer["host"], answer["port"])
    exposed = exposure(answer["host"])
    return f"The debugger is listening on {where}; {client}." + (f"\n{exposed}" if exposed else "")
