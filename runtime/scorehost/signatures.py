"""How ``init`` and ``run`` want to be called, read off their signatures and decorators.

Nothing is called here. What cannot be called the way the runtime calls it is a
:class:`BadSignature` that shows the signature found and what to write instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Final

from scorehost.api import RAW_MARK
from scorehost.errors import BadSignature

HEADERS_PARAMETER: Final = "request_headers"
"""A parameter of this name receives the request's headers."""

SCHEMA_MODULE: Final = "inference_schema.schema_decorators"

_REMEDY: Final = "Write 'def run(data):', with 'request_headers' as a second parameter if needed"
_REFUSED: Final[dict[Any, str]] = {
    Parameter.VAR_POSITIONAL: "*{} cannot be given a value by name",
    Parameter.VAR_KEYWORD: "**{} cannot be given a value by name",
    Parameter.POSITIONAL_ONLY: "{} is positional-only, but values are given by name",
}
_HEADERS: Final = Parameter(HEADERS_PARAMETER, Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class CallingStyle:
    """How to call ``run()``; the fields are those of ``EntryScript``."""

    style: str
    data_parameter: str | None
    wants_headers: bool


def check_init(init: Callable[..., object]) -> None:
    """Refuse an ``init`` that needs arguments or that does nothing when called."""
    signature = _signature("init", init)
    needed = [item for item in signature.parameters.values() if _is_required(item)]
    if needed:
        raise BadSignature(
            "init",
            str(signature),
            f"it needs a value for {needed[0].name}, but init() is called without arguments",
            "Write 'def init():' and keep what run() needs in module variables",
        )
    if inspect.isgeneratorfunction(init) or inspect.isasyncgenfunction(init):
        raise BadSignature(
            "init",
            str(signature),
            "it contains 'yield', so calling it does not run its code",
            "Remove the 'yield'",
        )


def calling_style(run: Callable[..., object], *, marked_raw: bool = False) -> CallingStyle:
    """Find out how to call ``run()``.

    Parameters
    ----------
    run : the function that is called for each request.
    marked_raw : another package's ``rawhttp`` was used in the script.
    """
    described = _signature("run", run)
    signature = _as_it_takes_them(run, described)
    parameters = _usable_parameters(signature)
    raw = marked_raw or any(getattr(layer, RAW_MARK, False) for layer in layers(run))
    names = schema_parameters(run)
    if names is not None:
        if raw:
            raise BadSignature(
                "run",
                str(signature),
                "it is decorated with both @rawhttp and @input_schema",
                "Keep the one that says what run() takes: the HTTP request, or typed values",
            )
        if signature is not described:
            raise _other_names(signature, described)
        _check_schema(signature, parameters, names)
    else:
        _check_single(signature, parameters)
    return CallingStyle(
        style="raw" if raw else "plain" if names is None else "typed",
        data_parameter=parameters[0].name if names is None else None,
        wants_headers=HEADERS_PARAMETER in signature.parameters,
    )


def layers(function: Any) -> Iterator[Any]:
    """Yield a function and what its decorators wrap, outermost first."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        yield function
        function = getattr(function, "__wrapped__", None)


def schema_parameters(run: Callable[..., object]) -> list[str] | None:
    """Name the parameters that ``@input_schema`` converts; None without any schema decorator."""
    wrappers: list[Any] = [getattr(layer, "_self_wrapper", None) for layer in layers(run)]
    found = [item for item in wrappers if getattr(item, "__module__", None) == SCHEMA_MODULE]
    if not found:
        return None
    names = (inspect.getclosurevars(item).nonlocals.get("param_name") for item in found)
    return [name for name in names if name is not None]


def data_parameters(run: Callable[..., object]) -> list[Parameter]:
    """List the parameters of ``run()`` but for the headers."""
    parameters = inspect.signature(run).parameters.values()
    return [item for item in parameters if item.name != HEADERS_PARAMETER]


def _signature(name: str, function: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise BadSignature(
            name,
            "(…)",
            f"its parameters cannot be determined ({error})",
            f"Define it in the script with 'def {name}'",
        ) from error


def _as_it_takes_them(
    run: Callable[..., object], described: inspect.Signature
) -> inspect.Signature:
    """The parameters by which ``run`` can be called, where a decorator's function stands for it.

    ``functools.wraps`` shows the parameters of what is wrapped. Those are right when the function
    around takes them by name, as ``**kwargs`` do; otherwise its own are.
    """
    try:
        own = inspect.signature(run, follow_wrapped=False)
    except (TypeError, ValueError):  # not written in Python: nothing speaks against the others
        return described
    if own == described or _takes(own, _named(described)):
        return described
    parameters = _named(own)
    if not parameters and own.parameters:
        raise _other_names(own, described)
    if HEADERS_PARAMETER in described.parameters and _takes(own, [*parameters, _HEADERS]):
        parameters = [item for item in parameters if item.name != HEADERS_PARAMETER]
        parameters.append(_HEADERS)
    return inspect.Signature(parameters)


def _named(signature: inspect.Signature) -> list[Parameter]:
    variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return [item for item in signature.parameters.values() if item.kind not in variable]


def _takes(signature: inspect.Signature, parameters: Sequence[Parameter]) -> bool:
    try:
        signature.bind(**dict.fromkeys(item.name for item in parameters))
    except TypeError:
        return False
    return True


def _other_names(own: inspect.Signature, described: inspect.Signature) -> BadSignature:
    names = ", ".join(item.name for item in _named(described)) or "nothing"
    return BadSignature(
        "run",
        str(own),
        f"a decorator replaced run{described} with this function, which does not accept {names} "
        "by name, although values are given by name",
        "Write the decorator's function with *args and **kwargs, or with the names of run()",
    )


def _usable_parameters(signature: inspect.Signature) -> list[Parameter]:
    for item in signature.parameters.values():
        if item.kind in _REFUSED:
            problem = _REFUSED[item.kind].format(item.name)
            remedy = f"{_REMEDY}; a decorator of your own needs functools.wraps"
            raise BadSignature("run", str(signature), problem, remedy)
    parameters = [item for item in signature.parameters.values() if item.name != HEADERS_PARAMETER]
    if not parameters:
        problem = "it has no parameter for the data"
        if signature.parameters:
            problem += f" beside {HEADERS_PARAMETER}"
        raise BadSignature("run", str(signature), problem, _REMEDY)
    return parameters


def _check_single(signature: inspect.Signature, parameters: Sequence[Parameter]) -> None:
    """Only one value is there to be given to a script without schema."""
    needed = [item.name for item in parameters[1:] if _is_required(item)]
    if needed:
        raise BadSignature(
            "run",
            str(signature),
            f"it needs {len(needed) + 1} values ({parameters[0].name}, {', '.join(needed)}), "
            "but only one is given: the request",
            "Take one parameter, or name several with inference-schema's @input_schema",
        )


def _check_schema(
    signature: inspect.Signature, parameters: Sequence[Parameter], names: Sequence[str]
) -> None:
    known = {item.name for item in parameters}
    for name in names:
        if name not in known:
            raise BadSignature(
                "run",
                str(signature),
                f"@input_schema describes {name!r}, which is not a parameter",
                "Give both the same name",
            )


def _is_required(parameter: Parameter) -> bool:
    variable = parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return parameter.default is Parameter.empty and not variable
