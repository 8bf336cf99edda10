"""Calling ``run()``: the clock, the event loop of an ``async def``, whose fault a failure is.

What it cannot do: leave a call of native code. An interrupt takes effect at the next line of
Python; and where asyncio is running a background task of the script at that moment, only the
task ends.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from scorehost.entry_script import EntryScript
from scorehost.scoring.conversion import Conversion

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Arguments: TypeAlias = "dict[str, Any]"
Invocation: TypeAlias = "Callable[[Arguments], tuple[Any, int]]"


def invocation(script: EntryScript) -> Invocation:
    """Make the function that calls ``run()`` and tells how many nanoseconds it took."""
    run, complete = script.run, script.loop.complete

    def invoke(arguments: Arguments) -> tuple[Any, int]:
        started = perf_counter_ns()
        result = run(**arguments)
        if type(result) is CoroutineType:
            result = complete(result)
        return result, perf_counter_ns() - started

    return _with_conversion(script, invoke) if script.style == "typed" else invoke


def _with_conversion(script: EntryScript, invoke: Invocation) -> Invocation:
    """Tell a value that inference-schema cannot convert from an error of the script."""
    conversion = Conversion(script.run)

    def invoke_typed(arguments: Arguments) -> tuple[Any, int]:
        try:
            return invoke(arguments)
        except Exception as error:
            problem = conversion.problem(error, arguments)
            if problem is None:
                raise
            raise problem from error

    return invoke_typed
