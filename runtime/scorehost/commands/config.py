"""``scorehost config``: every setting with its value and where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scorehost.commands.arguments import CommandLine
from scorehost.interpreter import executable, interpreter_of, own_interpreter
from scorehost.settings import MASK, declarations
from scorehost.sources import Resolved, resolve

NOTHING = "-"
"""Stands for a value that is not set."""


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print the settings that serving would use here."""
    line = CommandLine("config", takes_script=True)
    form = line.own.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="Print JSON.")
    form.add_argument(
        "--markdown", action="store_true", help="Print the reference of all settings instead."
    )
    parsed = line.read(arguments)
    if parsed is None:
        return 0
    if parsed.own.markdown:
        from scorehost.commands.reference import reference

        print(reference(), end="")
        return 0
    resolved = resolve(parsed.flags, environ, spelling=parsed.spelling)
    print(json.dumps(as_data(resolved), indent=2) if parsed.own.json else table(resolved))
    return 0


def table(resolved: Resolved) -> str:
    """Everything for a human: the places first, then the settings, then what is odd."""
    rows = [
        (item.section, item.variable, item.show(value) or NOTHING, str(resolved.sources[name]))
        for name, item, value in _settings(resolved)
    ]
    names = max(len(row[1]) for row in rows)
    values = min(40, max(len(row[2]) for row in rows))
    lines = _places(resolved)
    section = ""
    for heading, variable, value, source in rows:
        if heading != section:
            lines += ["", heading]
            section = heading
        lines.append(f"  {variable:{names}}  {value:{values}}  {source}")
    odd = [f"  {warning}" for warning in resolved.warnings]
    return "\n".join([*lines, *(["", "Warnings", *odd] if odd else [])])


def _places(resolved: Resolved) -> list[str]:
    settings = resolved.settings
    missing = "" if settings.script.is_file() else " (not found)"
    return [
        f"App root      {settings.root}",
        f"Entry script  {settings.script}{missing}",
        f"Config file   {resolved.config_file or NOTHING}",
        *_pythons(resolved),
    ]


def _pythons(resolved: Resolved) -> list[str]:
    """Name the Python of the server and that of the script, or the one that is both."""
    server, script = _running(resolved)
    if script == server:
        return [f"Python        {server}"]
    return [f"Server        {server}", f"Script        {script}"]


def _running(resolved: Resolved) -> tuple[str, str]:
    """Return in which Python the server runs, and in which the script.

    Asking an interpreter for its version means to run it. One that a file names, which may come
    from anybody, is not run by a command that runs nothing else.

    Raises
    ------
    UsageError
        The script's cannot be used.
    """
    settings = resolved.settings
    if settings.python is not None and resolved.sources["python"].kind == "file":
        return str(own_interpreter()), executable(settings.python)
    return str(own_interpreter()), str(interpreter_of(settings))


def as_data(resolved: Resolved) -> dict[str, Any]:
    """Everything, as JSON."""
    settings = resolved.settings
    return {
        "app_root": str(settings.root),
        "entry_script": str(settings.script),
        "config_file": _plain(resolved.config_file),
        "python": dict(zip(("server", "script"), _running(resolved), strict=True)),
        "settings": {
            item.variable: {
                "value": MASK if item.secret and value is not None else _plain(value),
                "default": _plain(item.default),
                "source": asdict(resolved.sources[name]),
                "flag": item.flag,
                "help": item.help,
            }
            for name, item, value in _settings(resolved)
        },
        "unknown": [
            {"name": one.name, "source": str(one.source), "nearest": one.nearest}
            for one in resolved.unknown
        ],
        "notices": list(resolved.notices),
    }


def _settings(resolved: Resolved) -> list[tuple[str, Any, Any]]:
    return [(name, item, getattr(resolved.settings, name)) for name, item in declarations().items()]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
