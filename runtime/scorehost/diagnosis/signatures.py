"""``init`` and ``run``: missing, hidden somewhere, or not callable as the server calls them."""

from __future__ import annotations

import ast
from typing import Final

from scorehost.diagnosis.case import Case
from scorehost.errors import BadSignature, MissingFunction
from scorehost.names import nearest

_ALIKE: Final[dict[str, tuple[str, ...]]] = {
    "init": ("initialize", "initialise", "setup", "load", "load_model", "load_models", "start"),
    "run": ("predict", "score", "main", "inference", "infer", "handle", "handler", "process"),
}
_EXAMPLE: Final[dict[str, str]] = {
    "init": "    def init():\n        global model\n        model = ...",
    "run": '    def run(data):\n        return model.predict(json.loads(data)["data"]).tolist()',
}
_WEB_FRAMEWORKS: Final = ("flask", "fastapi", "django", "starlette", "bottle", "tornado")


def missing_function(case: Case) -> str:
    """The script has no ``init`` or no ``run``."""
    error = case.error
    if not isinstance(error, MissingFunction):
        return ""
    name = error.name
    tree = ast.parse(case.script.read_bytes())
    return (
        _other_kind(tree, name)
        or _inside_another(tree, name)
        or _close_name(error)
        or _web_application(tree)
        or f"The script needs a function {name} at module level:\n{_EXAMPLE.get(name, '')}"
    )


def bad_signature(case: Case) -> str:
    """``init`` or ``run`` has parameters that the server cannot fill."""
    if not isinstance(case.error, BadSignature):
        return ""
    if case.error.function == "init":
        return "init() is called without arguments, once in each worker:\n" + _EXAMPLE["init"]
    return (
        "run() is called once for each request, in one of these ways:\n"
        "    def run(data):                       # the body as text\n"
        "    def run(data, request_headers):      # and the request's headers as a dict\n"
        '    @input_schema("data", ...)           # parsed values, with inference-schema'
    )


def _other_kind(tree: ast.Module, name: str) -> str:
    """The name is defined, but not as a function."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if name in names:
                return (
                    f"Line {node.lineno} assigns to {name}, so it is no longer a function. Rename "
                    "one of them."
                )
        if isinstance(node, ast.ClassDef) and node.name == name:
            return f"{name} is a class (line {node.lineno}). It must be a function."
    return ""


def _inside_another(tree: ast.Module, name: str) -> str:
    """A function of that name, where the server cannot see it."""
    for outer in ast.walk(tree):
        if not isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If)):
            continue
        for node in outer.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
                return _at_wrong_level(node, outer, name)
    return ""


def _at_wrong_level(
    node: ast.AST, outer: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If, name: str
) -> str:
    line = getattr(node, "lineno", 0)
    if isinstance(outer, ast.ClassDef):
        return (
            f"{name}() is a method of class {outer.name} (line {line}). Create an instance in "
            "init() and call it from a run() at module level."
        )
    if isinstance(outer, ast.If):
        return (
            f"{name}() is defined under the condition of line {outer.lineno}, which was false: "
            "the script is imported, so __name__ is not '__main__'. Move it out."
        )
    return (
        f"{name}() is defined inside {outer.name}() (line {line}): its indentation makes it local. "
        "Move it to the left margin."
    )


def _close_name(error: MissingFunction) -> str:
    name = error.name
    by_lower = {found.lower(): found for found in error.found}
    alike = [by_lower[known] for known in (name, *_ALIKE.get(name, ())) if known in by_lower]
    near = nearest(name, by_lower, like=0.6)
    candidates = alike or ([by_lower[near]] if near else [])
    candidates = [found for found in candidates if found not in {"init", "run"}]
    if not candidates:
        return ""
    call = "" if name == "init" else "data"
    return (
        f"Did you mean {candidates[0]}()? Rename it to {name}, or add:\n"
        f"    def {name}({call}):\n        return {candidates[0]}({call})"
    )


def _web_application(tree: ast.Module) -> str:
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    found = [name for name in _WEB_FRAMEWORKS if name in imported]
    if not found:
        return ""
    return (
        f"The script looks like a {found[0]} application. scorehost is the server; the script "
        "needs only init(), which loads the model, and run(data), which uses it."
    )
