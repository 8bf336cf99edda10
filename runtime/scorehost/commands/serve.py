"""``scorehost serve``: serve an entry script over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

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

    from scorehost.front.server import serve  # only now: a wrong flag is answered at once

    profile = Profile(warnings=resolved.warnings, resolve=again)
    return serve(resolved.settings, profile=profile, environ=environ)
