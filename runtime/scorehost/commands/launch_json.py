"""``scorehost launch-json``: what VS Code needs to attach to the debugger.

Printed, or with ``--write`` put into ``.vscode/launch.json`` without losing what is there,
comments included.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scorehost.commands.arguments import CommandLine
from scorehost.dev.jsonc import with_configuration
from scorehost.dev.places import attach_configuration
from scorehost.errors import UsageError
from scorehost.sources import resolve
from scorehost.values import Refusal, whole

FILE = Path(".vscode", "launch.json")


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print or write the configuration."""
    line = CommandLine("launch-json", takes_script=True)
    line.own.add_argument(
        "--container",
        action="store_true",
        help="The server runs in a container that contains the app.",
    )
    line.own.add_argument(
        "--attach-port",
        metavar="PORT",
        help="Port where the editor reaches the debugger (default: SCOREHOST_DEBUG_PORT).",
    )
    line.own.add_argument(
        "--write", action="store_true", help=f"Add it to {FILE}, keeping what is already there."
    )
    parsed = line.read(with_port(arguments))
    if parsed is None:
        return 0
    settings = resolve(parsed.flags, environ, spelling=parsed.spelling).settings
    configuration = attach_configuration(
        settings,
        container=parsed.own.container,
        workspace=Path.cwd(),
        port=port_of(parsed.own.attach_port),
    )
    if not parsed.own.write:
        print(json.dumps(launch_file(configuration), indent=4))
        return 0
    print(f"{write(FILE, configuration)} {FILE.as_posix()}: {configuration['name']}")
    return 0


def with_port(arguments: Sequence[str]) -> list[str]:
    """``--port`` means the debugger's here, not that of the scoring routes."""
    words = list(arguments)
    for place, word in enumerate(words):
        if word.partition("=")[0] != "--port":
            continue
        if word == "--port" and (words[place + 1 :] or ["--"])[0].startswith("--"):
            raise UsageError("argument --port: expected one argument.")
        words[place] = word.replace("--port", "--attach-port", 1)
    return words


def port_of(text: str | None) -> int | None:
    """The port that was typed."""
    if text is None:
        return None
    try:
        return int(whole(1, 65535)(text))
    except Refusal as refusal:
        raise UsageError(
            f"--port is {text!r}, which is not accepted. It takes {refusal}."
        ) from None


def launch_file(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A whole ``launch.json``."""
    return {"version": "0.2.0", "configurations": [configuration]}


def write(file: Path, configuration: dict[str, Any]) -> str:
    """Put the configuration into the file; says what was done.

    Raises
    ------
    UsageError
        The file is no ``launch.json``, or cannot be read or written.
    """
    if file.parent.is_file():
        raise UsageError(f"{file.parent} is a file; {file.name} must be in a folder of that name.")
    try:
        return _write(file, configuration)
    except UnicodeDecodeError:
        raise UsageError(
            f"{file} is not UTF-8, so nothing was changed. Save it as UTF-8."
        ) from None
    except OSError as error:
        raise UsageError(
            f"{error.filename or file} cannot be read or written: {error.strerror}. "
            "Without --write the configuration is printed."
        ) from None


def _write(file: Path, configuration: dict[str, Any]) -> str:
    """Bytes in and out: a mark of the encoding, and line ends, stay as they are."""
    before = file.read_bytes() if file.exists() else b""
    mark = codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b""
    text = before.removeprefix(mark).decode("utf-8")
    if not text.strip():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((json.dumps(launch_file(configuration), indent=4) + "\n").encode())
        return "Wrote"
    after = with_configuration(text, configuration)
    if after == text:
        return "Nothing to change in"
    file.write_bytes(mark + after.encode("utf-8"))
    return "Changed"
