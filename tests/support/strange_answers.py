"""What a script may make of an answer, by mistake or on purpose; for ``evaluates.py``.

Each is a few lines that set ``result``, and the status that a client gets for it.
"""

from __future__ import annotations

from typing import Final

FLASK: Final = "from flask import Response\n"
AML: Final = "from azureml.contrib.services.aml_response import AMLResponse\n"


def header(name: str, value: str) -> str:
    """A response with one header more, given as Python source."""
    return f"{FLASK}result = Response('x')\nresult.headers.add({name}, {value})"


def error(lines: str, base: str = "Exception") -> str:
    """An exception whose class has these lines."""
    return f"class E({base}):\n    {lines}\nraise E('said')"


WHOLE: Final = {
    # -- headers ----------------------------------------------------------------------------
    "surrogate in a value": (header("'X-A'", "'\\ud800'"), 500),
    "surrogate in a name": (header("'X-\\ud800'", "'a'"), 500),
    "beyond latin-1": (header("'X-A'", "'\\u20ac'"), 500),
    "latin-1": (header("'X-A'", "'\\xe9'"), 200),
    "a tab": (header("'X-A'", "'a\\tb'"), 200),
    "a line break": (header("'X-A'", "'a\\r\\nSet-Cookie: b'"), 500),
    "a line break smuggled in": (
        f"{FLASK}result = Response('x')\nresult.headers._list.append(('X-A', 'a\\nb'))", 500,
    ),
    "a NUL": (header("'X-A'", "'a\\0b'"), 500),
    "an empty name": (header("''", "'a'"), 500),
    "a name with a blank": (header("'X A'", "'a'"), 500),
    "a name with a colon": (header("'X:A'", "'a'"), 500),
    "a name with a line break": (header("'X\\nA'", "'a'"), 500),
    "an empty value": (header("'X-A'", "''"), 200),
    "a value that is a number": (header("'X-A'", "5"), 200),
    "huge headers": (header("'X-A'", "'a' * (1 << 21)"), 500),
    "headers as a dict": (f"{FLASK}result = Response('x', headers={{'X-A': 'a'}})", 200),
    "headers as a list": (f"{FLASK}result = Response('x', headers=[('X-A', 'a')])", 200),
    "headers replaced by a dict": (
        f"{FLASK}result = Response('x')\nresult.headers = {{'X-A': 'a'}}", 200,
    ),
    "headers replaced by None": (f"{FLASK}result = Response('x')\nresult.headers = 7", 500),
    "an AMLResponse with a bad header": (f"{AML}result = AMLResponse('x', 200, {{'': 'a'}})", 500),
    # -- content types ----------------------------------------------------------------------
    "surrogate in the type": (f"{FLASK}result = Response('x', content_type='\\ud800')", 500),
    "a type beyond latin-1": (f"{FLASK}result = Response('x', content_type='text/\\u20ac')", 500),
    "no type": (f"{FLASK}result = Response('x', content_type='')", 200),
    "a line break in the type": (
        f"{AML}result = AMLResponse('x', 200, {{'Content-Type': 'a\\nb'}})", 500,
    ),
    # -- statuses ---------------------------------------------------------------------------
    **{
        f"status {status}": (f"{FLASK}result = Response('x', {status})", 500)
        for status in ("99", "100", "101", "600", "1000", "True", "'abc'", "''", "-1", "2.5")
    },
    **{
        f"status {status}": (f"{FLASK}result = Response('x', {status})", expected)
        for status, expected in (("None", 200), ("'201 Made'", 201), ("599", 599))
    },
    **{
        f"status {status} with a body": (f"{FLASK}result = Response('x', {status})", status)
        for status in (204, 205, 304)
    },
    "status 205 with a stream": (f"{FLASK}result = Response(iter(['x']), 205)", 205),
    # -- bodies -----------------------------------------------------------------------------
    "a body of numbers": (f"{FLASK}result = Response([1, 2])", 500),
    "a body with a surrogate": (f"{FLASK}result = Response(['\\ud800'])", 500),
    "a body that is a number": (f"{FLASK}result = Response(5)", 500),
    "get_data() that returns text": (
        f"{FLASK}class R(Response):\n    def get_data(self): return 'text'\nresult = R('x')", 500,
    ),
    "a close() that raises": (
        f"{FLASK}result = Response('x')\nresult.call_on_close(lambda: 1 / 0)", 500,
    ),
    "a tuple": ("result = ('x', 201)", 200),
    "a surrogate in a result": ("result = {'\\ud800': '\\udfff'}", 200),
    "no JSON": ("result = {'a': object()}", 500),
    # -- exceptions -------------------------------------------------------------------------
    "str() raises": (error("def __str__(self): raise ValueError"), 500),
    "str() exits": (error("def __str__(self): raise SystemExit"), 500),
    "str() raises something of its own": (
        error("def __str__(self): raise type('B', (BaseException,), {})"), 500,
    ),
    "str() is a number": (error("def __str__(self): return 5"), 500),
    "repr() raises": (error("def __repr__(self): raise ValueError"), 500),
    "a surrogate in the message": ("raise ValueError('\\ud800')", 500),
    "a surrogate in the class": (error("__qualname__ = '\\ud800'; __module__ = '\\udfff'"), 500),
    "a module that is a number": (error("__module__ = 5"), 500),
    "a cause that raises": (error("__cause__ = property(lambda self: 1 / 0)"), 500),
    "members that raise": (error("exceptions = property(lambda self: 1 / 0)"), 500),
    "a syntax error of one's own": ("raise SyntaxError('\\ud800')", 500),
    "not an Exception": (error("pass", "BaseException"), 500),
    "an exit": ("raise SystemExit(3)", 500),
    "a huge message": ("raise ValueError('x' * 17_000_000)", 500),
}  # fmt: skip
"""Answers that are whole, or that fail before anything is sent."""

FIRST: Final = {
    "a number": (f"{FLASK}result = Response(iter([5]))", 500),
    "a surrogate": (f"{FLASK}result = Response(iter(['\\ud800']))", 500),
    "an error": (f"{FLASK}result = Response(1 / 0 for _ in 'a')", 500),
    "GeneratorExit": ("def g():\n    raise GeneratorExit\n    yield\nresult = g()", 500),
    "what is no JSON": ("result = (object() for _ in 'a')", 500),
}
"""Streams that fail at their first chunk."""

MIDDLE: Final = {
    "a number": f"{FLASK}result = Response(iter(['a', 5]))",
    "a surrogate": f"{FLASK}result = Response(iter(['a', '\\ud800']))",
    "an error with a surrogate": (
        "def g():\n    yield 'a'\n    raise ValueError('\\ud800')\nresult = g()"
    ),
    "GeneratorExit": "def g():\n    yield 'a'\n    raise GeneratorExit\nresult = g()",
    "not an Exception": (
        "def g():\n    yield 'a'\n    raise type('B', (BaseException,), {})\nresult = g()"
    ),
    "an error that cannot be described": (
        "class E(Exception):\n    def __str__(self): raise SystemExit\n"
        "def g():\n    yield 'a'\n    raise E\nresult = g()"
    ),
    "what is no JSON": "def g():\n    yield 'a'\n    yield object()\nresult = g()",
    "a close() that raises": (
        f"{FLASK}def g():\n    yield 'a'\n    raise ValueError\n"
        "result = Response(g())\nresult.call_on_close(lambda: 1 / 0)"
    ),
}
"""Streams that fail when a part has been sent."""
