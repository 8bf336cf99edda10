"""How run() and init() want to be called, and what of it is refused."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from scorehost.api import rawhttp
from scorehost.errors import BadSignature
from scorehost.signatures import calling_style, check_init, schema_parameters
from support.scripts import Loader


def plain(data):
    return data


def with_headers(data, request_headers):
    return data


def headers_first(request_headers, data):
    return data


def keyword_only(*, data, request_headers=None):
    return data


def with_defaults(data=None, other=1, *, third=2):
    return data


class Model:
    def run(self, data):
        return data

    def __call__(self, data):
        return data


class AsyncModel:
    async def __call__(self, data):
        return data


async def asynchronous(data):
    return data


async def asynchronous_generator(data):
    yield data


def well_wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    "run",
    [
        plain,
        with_headers,
        headers_first,
        keyword_only,
        with_defaults,
        asynchronous,
        asynchronous_generator,
        well_wrapped(with_headers),
        well_wrapped(asynchronous),
        Model().run,
        Model(),
        AsyncModel(),
        functools.partial(with_defaults, third=3),
        lambda data: data,
    ],
)
def test_what_can_be_called_with_one_value(run: Callable[..., Any]):
    style = calling_style(run)

    assert (style.style, style.data_parameter) == ("plain", "data")


@pytest.mark.parametrize("run", [with_headers, headers_first, keyword_only])
def test_a_parameter_of_that_name_receives_the_headers(run: Callable[..., Any]):
    assert calling_style(run).wants_headers
    assert not calling_style(plain).wants_headers


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def run(): pass", r"^run\(\): it has no parameter for the data\."),
        ("def run(request_headers): pass", "no parameter for the data beside request_headers"),
        ("def run(*args): pass", r"^run\(\*args\): \*args cannot be given a value"),
        ("def run(data, *rest): pass", r"\*rest cannot be"),
        ("def run(data, **kwargs): pass", r"^run\(data, \*\*kwargs\): \*\*kwargs cannot be"),
        ("def run(data, /): pass", "data is positional-only"),
        ("def run(data, more): pass", r"it needs 2 values \(data, more\), but only one is given"),
        ("def run(data, *, a, b=1, c): pass", r"it needs 3 values \(data, a, c\)"),
        ("run = dict", "cannot be determined|not a parameter"),
        (
            "def wrap(f):\n  def inner(*args, **kw): return f(*args, **kw)\n  return inner\n"
            "@wrap\ndef run(data): pass",
            "a decorator of your own needs functools.wraps",
        ),
    ],
)
def test_what_cannot_be_called_with_one_value(source: str, said: str):
    names: dict[str, Any] = {}
    exec(source, names)

    with pytest.raises(BadSignature, match=said) as caught:
        calling_style(names["run"])

    assert caught.value.stage == "signature"


def around(source: str, signature: str, call: str) -> Callable[..., Any]:
    """A run() inside a decorator's function that functools.wraps shows as run()."""
    text = (
        f"import functools\n{source}\ninside = run\n@functools.wraps(inside)\n"
        f"def run({signature}): return inside({call})"
    )
    names: dict[str, Any] = {}
    exec(text, names)
    run: Callable[..., Any] = names["run"]
    return run


@pytest.mark.parametrize(
    ("run", "name", "wants_headers"),
    [
        (around("def run(raw): return raw", "data", "data"), "data", False),
        (around("def run(raw): return raw", "raw", "raw"), "raw", False),
        (around("def run(raw): return raw", "*args, **kwargs", "*args, **kwargs"), "raw", False),
        (around("def run(raw): return raw", "data, *a, **kw", "data, *a, **kw"), "data", False),
        (around("def run(raw): return raw", "data, extra=1", "data"), "data", False),
        (around("def run(raw, n=1): return raw", "data", "data"), "data", False),
        (around("def run(raw, /): return raw", "data", "data"), "data", False),
        (
            around("def run(raw, request_headers): return raw", "data, **kw", "data, **kw"),
            "data",
            True,
        ),
        (
            around(
                "def run(raw, request_headers): return raw",
                "data, request_headers=None",
                "data, request_headers",
            ),
            "data",
            True,
        ),
        (around("def run(raw, request_headers): return raw", "raw", "raw, {}"), "raw", False),
    ],
)  # fmt: skip
def test_a_decorators_function_is_called_by_names_it_takes(
    run: Callable[..., Any], name: str, wants_headers: bool
):
    """What functools.wraps shows are the names of the function inside."""
    style = calling_style(run)

    assert (style.data_parameter, style.wants_headers) == (name, wants_headers)
    assert run(**{name: 3}, **({"request_headers": {}} if wants_headers else {})) == 3


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("*args", r"^run\(\*args\): a decorator replaced run\(raw\) with this function, which "
                  r"does not accept raw by name, although values are given by name\. Write the "
                  r"decorator's function with \*args and \*\*kwargs, or with the names of "
                  r"run\(\)\.$"),
        ("data, /", "data is positional-only"),
        ("data, more", "it needs 2 values"),
        ("", "no parameter for the data"),
    ],
)  # fmt: skip
def test_a_decorators_function_that_cannot_be_called(signature: str, said: str):
    with pytest.raises(BadSignature, match=said):
        calling_style(around("def run(raw): return raw", signature, "1"))


@pytest.mark.parametrize(
    "source",
    [
        "def init(): pass",
        "def init(a=1, *args, **kwargs): pass",
        "async def init(): pass",
        "init = lambda: None",
        "import functools\ninit = functools.partial(print, 'x')",
    ],
)
def test_an_init_that_needs_nothing(source: str):
    names: dict[str, Any] = {}
    exec(source, names)

    check_init(names["init"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def init(model): pass", r"^init\(model\): it needs a value for model"),
        ("def init(a=1, *, b): pass", "it needs a value for b"),
        ("def init(self): pass", "it needs a value for self"),
        ("def init(): yield", "it contains 'yield'"),
        ("async def init(): yield", "it contains 'yield'"),
    ],
)
def test_an_init_that_cannot_be_called(source: str, said: str):
    names: dict[str, Any] = {}
    exec(source, names)

    with pytest.raises(BadSignature, match=said):
        check_init(names["init"])


# -- rawhttp ------------------------------------------------------------------------------


def test_the_mark_sits_on_the_function():
    def run(request):
        return request

    def other(request):
        return request

    assert rawhttp(run) is run
    style = calling_style(run)
    assert (style.style, style.data_parameter) == ("raw", "request")
    assert calling_style(other).style == "plain"


def test_the_mark_is_seen_through_decorators():
    @well_wrapped
    @rawhttp
    def inside(request):
        return request

    @rawhttp
    @well_wrapped
    def outside(request):
        return request

    assert calling_style(inside).style == "raw"
    assert calling_style(outside).style == "raw"


def test_a_method_may_be_marked():
    class Service:
        @rawhttp
        def decorated(self, request):
            return request

        def later(self, request):
            return request

    assert calling_style(Service().decorated).style == "raw"
    assert calling_style(rawhttp(Service().later)).style == "raw"


@pytest.mark.parametrize(
    "package", ["azureml.contrib.services", "azureml_inference_server_http.api"]
)
def test_the_mark_of_another_package_counts(
    scripts: Loader, monkeypatch: pytest.MonkeyPatch, package: str
):
    """Those set a variable of their module; it is forgotten before the next script."""
    theirs = ModuleType(f"{package}.aml_request")
    theirs._rawHttpRequested = False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, theirs.__name__, theirs)
    marks = f"import sys\nsys.modules[{theirs.__name__!r}]._rawHttpRequested = True\n"
    source = "def init(): pass\ndef run(data): pass"

    assert scripts.load(marks + source).style == "raw"
    assert scripts.load(source).style == "plain"


# -- inference-schema ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("typed.py", ["data", "factor"]),
        ("typed_nested.py", ["inputs"]),
        ("typed_output_only.py", []),
    ],
)
def test_schema_decorators_are_seen(scripts: Loader, name: str, parameters: list[str]):
    script = scripts.named(name)

    assert script.style == "typed"
    assert script.data_parameter is None
    assert schema_parameters(script.run) == parameters


def test_schema_decorators_are_seen_through_others(scripts: Loader):
    run = scripts.named("typed.py").run

    assert calling_style(well_wrapped(run)).style == "typed"


def test_values_by_name_need_a_decorators_function_that_takes_them(scripts: Loader):
    run = scripts.named("typed.py").run

    def same(data: Any, factor: Any = 1) -> Any:
        return run(data=data, factor=factor)

    def other(value: Any) -> Any:
        return run(value)

    assert calling_style(functools.wraps(run)(same)).style == "typed"
    with pytest.raises(BadSignature, match="does not accept data, factor by name"):
        calling_style(functools.wraps(run)(other))


def test_a_script_of_the_same_name_without_decorators_is_plain(scripts: Loader):
    """inference-schema remembers decorated functions by name; that is not what decides."""
    decorated = (
        "from inference_schema.schema_decorators import input_schema\n"
        "from inference_schema.parameter_types.standard_py_parameter_type import *\n"
        "def init(): pass\n"
        "@input_schema('data', StandardPythonParameterType('text'))\n"
        "def run(data): pass"
    )

    assert scripts.load(decorated).style == "typed"
    assert scripts.load("def init(): pass\ndef run(data): pass").style == "plain"


def test_a_described_parameter_must_be_one(scripts: Loader):
    source = (
        "from inference_schema.schema_decorators import input_schema\n"
        "from inference_schema.parameter_types.standard_py_parameter_type import *\n"
        "def init(): pass\n"
        "@input_schema('dta', StandardPythonParameterType('text'))\n"
        "def run(data): pass"
    )

    with pytest.raises(BadSignature, match="@input_schema describes 'dta', which is not"):
        scripts.load(source)


@pytest.mark.parametrize("order", ["@rawhttp\n@schema\n", "@schema\n@rawhttp\n"])
def test_raw_and_typed_exclude_each_other(scripts: Loader, order: str):
    source = (
        "from scorehost.api import rawhttp\n"
        "from inference_schema.schema_decorators import input_schema\n"
        "from inference_schema.parameter_types.standard_py_parameter_type import *\n"
        "schema = input_schema('data', StandardPythonParameterType('text'))\n"
        "def init(): pass\n"
        f"{order}def run(data): pass"
    )

    with pytest.raises(BadSignature, match="both @rawhttp and @input_schema"):
        scripts.load(source)
