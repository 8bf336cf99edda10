"""Calling ``run()``: the clock, the event loop of an ``async def``, and the interrupt.

What it cannot do: leave a call of native code. An interrupt takes effect at the next line of
Python; background tasks of an asynchronous script run only while a request is inside.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from types import CoroutineType
from typing import Any, TypeAlias

from scorehost.entry_script import EntryScript

Arguments: TypeAlias = dict[str, Any]
Invocation: TypeAlias = Callable[[Arguments], tuple[Any, int]]


class Interrupted(BaseException):  # noqa: N818 - not an error: it must pass `except Exception`
    """The request's time is up. Raised inside user code; never caught by ours."""


def invocation(script: EntryScript) -> Invocation:
    """Make the function that calls ``run()`` and tells how many nanoseconds it took."""
    run, complete = script.run, script.loop.complete

    def invoke(arguments: Arguments) -> tuple[Any, int]:
        started = perf_counter_ns()
        result = run(**arguments)
        if type(result) is CoroutineType:
            result = complete(result)
        return result, perf_counter_ns() - started

    return invoke
