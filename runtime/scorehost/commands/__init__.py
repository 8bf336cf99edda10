"""What can be typed after ``scorehost``: one file for each command.

Each has ``run(arguments, environ) -> int``, which returns the exit status and raises
``UsageError`` for what cannot be used; ``cli.py`` calls it and ends the process.
"""

from __future__ import annotations

COMMANDS = {
    "serve": "Serve an entry script over HTTP.",
    "check": "Run every step of serving up to the first response, without opening a port.",
    "config": "Show every setting, its value and where it came from.",
    "models": "Show how a model name resolves.",
    "debug": "Open or close the debugger of a running server.",
    "launch-json": "Print or write the VS Code configuration that attaches a debugger.",
    "replay": "Score recorded requests again and report what has changed.",
    "build": "Build a container image from a folder with an entry script.",
    "sbom": "List the packages installed on this machine or in an image.",
}
"""Each by the name of its module here, dashes for underscores, with what it does."""
