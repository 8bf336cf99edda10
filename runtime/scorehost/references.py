"""References: what leads from an answer that tells little to the lines of the log that tell all.

Anybody may ask a server how it is. What a script's exception says, its stacks and its output are
for those who may read the log.
"""

from __future__ import annotations

import os


def new_reference() -> str:
    """Make the reference of one failure, when it is recorded; the log has to hold it too."""
    return os.urandom(4).hex()


def see_log(what: str, reference: str) -> str:
    """Say what has happened, in a sentence that leads into the log."""
    return f"{what}; see the log, reference {reference}."
