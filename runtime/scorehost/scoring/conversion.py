"""Was it the caller's value or the script's code? Reading failures of inference-schema.

Its decorators convert the values inside the call of ``run()``, so that a value of the wrong
type or shape and an error of the script come out of the same call. The traceback tells them
apart: whether the function that the user wrote was ever entered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import CodeType, TracebackType
from typing import Any, Final

from scorehost.errors import UnusableParameter
from scorehost.signatures import data_parameters, layers

_PACKAGE = "inference_schema"
_DECORATOR = "decorator_input"
"""The function that stands around ``run()``, once for each decorator."""
_OF_VALUES: Final = (ValueError, TypeError, LookupError, ArithmeticError)
"""What conversions raise because of a value."""


class Conversion:
    """Recognises the failures of one decorated ``run()``.

    Parameters
    ----------
    run : as the script decorated it.
    """

    def __init__(self, run: Callable[..., object]) -> None:
        codes = (getattr(layer, "__code__", None) for layer in layers(run))
        self._written: set[CodeType | None] = {code for code in codes if code is not None}
        self._defaults = {item.name: item.default for item in data_parameters(run)}

    def problem(self, error: Exception, arguments: Mapping[str, Any]) -> UnusableParameter | None:
        """Say which parameter did not fit; None when the script is at fault.

        The script is at fault when its own code was running, and when its own default did not fit.
        """
        names = self._converting(error.__traceback__)
        if not names or arguments.get(names[0]) is self._defaults.get(names[0]):
            return None
        problem = f"does not match its declaration: {_reason(error)}"
        return UnusableParameter(f"The parameter {'.'.join(names)!r} {problem}")

    def _converting(self, trace: TracebackType | None) -> list[str] | None:
        """Return the path to the value being converted: the parameter, then keys inside it."""
        names: list[str] = []
        inside = False
        while trace is not None:
            frame, trace = trace.tb_frame, trace.tb_next
            if frame.f_code in self._written:
                return None
            if str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
                name = frame.f_locals.get("param_name")
                if frame.f_code.co_name == _DECORATOR:
                    names = [str(name)]
                    continue
                inside = True
                if name is not None and str(name) != names[-1]:
                    names.append(str(name))
        return names if inside else None


def _reason(error: Exception) -> str:
    """Return what the conversion said of the value, as far as it is meant for the client.

    A bare KeyError makes no sense without its name. What is no error in a value (the script's own
    types may raise anything) is told by its class alone.
    """
    text = str(error) if isinstance(error, _OF_VALUES) or type(error) is Exception else ""
    if type(error) in (Exception, TypeError, ValueError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
