"""The commands ``scorehost`` and ``azmlinfsrv``.

This is the only place that reads the environment, once, and the only one that ends the
process. Commands are imported when they are asked for: none pays for another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NoReturn

from scorehost import __version__
from scorehost.commands import COMMANDS
from scorehost.errors import UsageError
from scorehost.names import nearest

USAGE_STATUS = 2
INTERRUPTED_STATUS = 130

Command = Callable[[Sequence[str], Mapping[str, str]], int]


def main() -> NoReturn:
    """Run ``scorehost``."""
    sys.exit(guarded("scorehost", run, sys.argv[1:], environment()))


def azmlinfsrv() -> NoReturn:
    """Run the drop-in command."""
    from scorehost.drop_in import run as run_drop_in

    sys.exit(guarded("azmlinfsrv", run_drop_in, sys.argv[1:], environment()))


def environment() -> dict[str, str]:
    """The environment of this process, read once.

    ``WEB_CONCURRENCY`` is for servers of several processes. gunicorn reads it when it is
    imported, and would fail there if it were no number; here it has no say.
    """
    given = dict(os.environ)
    os.environ.pop("WEB_CONCURRENCY", None)
    return given


def guarded(
    name: str, command: Command, arguments: Sequence[str], environ: Mapping[str, str]
) -> int:
    """Run a command; the exit status, in every case that is not a fault of ours."""
    if hasattr(sys.stdout, "reconfigure"):  # what a terminal cannot show must not end us
        sys.stdout.reconfigure(errors="replace")
    try:
        status = command(arguments, dict(environ))
        if sys.stdout is not None:  # it was closed: `scorehost config >&-`
            sys.stdout.flush()
    except UsageError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return USAGE_STATUS
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except BrokenPipeError:  # the reader has seen enough: `scorehost config | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Find the command and run it."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(overview())
        return 0
    name, *rest = arguments
    if name in {"-V", "--version"}:
        print(f"scorehost {__version__}")
        return 0
    if name not in COMMANDS:
        raise UsageError(unknown_command(name))
    module = import_module(f"scorehost.commands.{name.replace('-', '_')}")
    command: Command = module.run
    return command(rest, environ)


def overview() -> str:
    """The help of ``scorehost`` itself."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {does}" for name, does in COMMANDS.items())
    return (
        "usage: scorehost COMMAND [SCRIPT] [options]\n\n"
        "Hosts a score.py: one command on a laptop, the same server in every deployed image.\n\n"
        f"Commands:\n{commands}\n\n"
        "Run 'scorehost COMMAND --help' for details, 'scorehost --version' for the version.\n"
        "Start with: scorehost serve score.py"
    )


def unknown_command(name: str) -> str:
    """What to say about a command that there is not."""
    if name.endswith(".py"):
        return f"{name} is not a command. Did you mean 'scorehost serve {name}'?"
    near = nearest(name, COMMANDS)
    hint = f"Did you mean {near}?" if near else f"The commands are {', '.join(COMMANDS)}."
    return f"{name} is not a command. {hint}"
