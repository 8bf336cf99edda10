"""``scorehost serve``: serve an entry script over HTTP."""

from __future__ import annotations

import gc
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from types import FrameType

from scorehost.commands.arguments import CommandLine
from scorehost.profile import Profile
from scorehost.sources import resolve


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until told to stop; the exit status."""
    line = CommandLine("serve", takes_script=True, lists_settings=True)
    parsed = line.read(arguments)
    if parsed is None:
        return 0
    again = partial(resolve, parsed.flags, environ, spelling=parsed.spelling)
    resolved = again()

    end_cleanly_until_served()
    gc.set_threshold(50_000)  # what is imported from here on stays: looking at it costs 8 ms
    from scorehost.front.server import serve  # only now: a wrong flag is answered at once

    profile = Profile(warnings=resolved.warnings, resolve=again)
    return serve(resolved.settings, profile=profile, environ=environ)


def end_cleanly_until_served() -> None:
    """Make a stop that comes before the server can drain what it is: a clean end.

    It matters most as process 1 of a container, which the kernel keeps from ending by a signal
    that it does not handle; the container would only end when it is killed.
    """
    signal.signal(signal.SIGTERM, _leave)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
