"""File descriptors: how many clients may take, and how many stay for the server itself.

A connection takes one, and so does a large body. If clients could take them all, no worker could
be restarted, no probe answered and no page shown. The kernel hands out the lowest number that is
free, so a number at or above :func:`spare_descriptors` means that clients have taken their share.
"""

from __future__ import annotations

import resource
from typing import Final

_KEPT: Final = 256
"""Descriptors for workers (eight each), the health port, and what libraries open."""


def raise_descriptor_limit() -> tuple[int, int] | None:
    """Let this process open as many files as it may; return the former limits if that changed.

    The usual soft limit of 1024 is for programs that call ``select()``; a connection takes a
    descriptor, and so does a large body. Scoring processes get the old limit back.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return None
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return None
    return soft, hard


def spare_descriptors() -> int:
    """Return how many descriptors clients and their bodies may take; half if there are few."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit - min(_KEPT, limit // 2)


def most_connections() -> int:
    """Return how many connections there may be; a quarter of the rest is for large bodies."""
    return max(16, spare_descriptors() * 3 // 4)
