"""Waiting for a condition, the only kind of waiting that tests do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.01
"""Seconds between two looks: short against anything a server does, long against a look."""


def wait_until(condition: Callable[[], T], *, timeout: float = 60.0, what: str = "") -> T:
    """Look again and again until the condition is truthy, and hand that value back.

    Parameters
    ----------
    condition : looked at until it is truthy; what it raises ends the waiting.
    timeout : seconds after which the test has failed; by default more than a busy machine needs.
    what : the condition in words, for the message.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout:g} s: {what or condition}")
        time.sleep(PAUSE)
