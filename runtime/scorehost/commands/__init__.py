"""What can be typed after ``scorehost``: one file for each command.

Each has ``run(arguments, environ) -> int``, which returns the exit status and raises
``UsageError`` for what cannot be used; ``cli.py`` calls it and ends the process.
"""

from __future__ import annotations

COMMANDS = {
    "serve": "Serve an entry script over HTTP.",
    "check": "Do all that serving does up to the first answer, without a port.",
    "config": "Show every setting, its value and where it came from.",
    "models": "Show how a model name resolves.",
    "debug": "Open or close the debugger of a server that runs.",
    "launch-json": "Print, or write, what an editor needs to attach a debugger.",
    "replay": "Score recorded requests again, and say what has changed.",
    "build": "Make a container image of a folder with an entry script.",
    "sbom": "List the packages that are installed, here or in an image.",
}
"""Each by the name of its module here, dashes for underscores, with what it does."""
