"""Loading the entry script: read, import, look at ``init`` and ``run``, call ``init()``.

The script is imported as a proper module under its own name, so that its classes can be
pickled; pickles that were written by a training script (``__main__.Model``) find the script's
classes too. Its source is compiled here and never through a cached ``.pyc``: what is on disk
is what runs. What this cannot do: undo what a script did before it failed.
"""

from __future__ import annotations

import importlib.util
import inspect
import linecache
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from scorehost.api import RAW_MARK
from scorehost.errors import (
    BadSignature,
    InitFailed,
    MissingFunction,
    ModelNotFound,
    ModelPathFailed,
    ScriptImportFailed,
    ScriptUnreadable,
)

if TYPE_CHECKING:
    import asyncio

Progress: TypeAlias = Callable[[str], None]

HEADERS_PARAMETER: Final = "request_headers"


class EventLoop:
    """The one event loop of an asynchronous script, made when first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def complete(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(coroutine)


@dataclass(frozen=True)
class EntryScript:
    """A loaded entry script and how its ``run()`` wants to be called.

    Parameters
    ----------
    path : the script's file.
    module : the imported module.
    init, run : what is called; ``run`` may come from a ``driver_module``.
    style : "plain" (text), "typed" (inference-schema) or "raw" (the HTTP request).
    data_parameter : name of the single data parameter; None for typed scripts.
    wants_headers : ``run()`` has a parameter ``request_headers``.
    is_async : ``run()`` is an ``async def``.
    loop : where coroutines of ``init()`` and ``run()`` are run.
    """

    path: Path
    module: ModuleType
    init: Callable[[], object]
    run: Callable[..., object]
    style: str
    data_parameter: str | None
    wants_headers: bool
    is_async: bool
    app_root: Path = Path()
    loop: EventLoop = field(default_factory=EventLoop, compare=False)


def _untold(_stage: str) -> None:
    """Nobody wants to know the stage."""


def load_entry_script(path: Path, app_root: Path, progress: Progress = _untold) -> EntryScript:
    """Read and import a script and find out how to call it.

    Parameters
    ----------
    path : the script's file.
    app_root : stands before the script's folder on ``sys.path``.
    progress : told each stage as it begins: "read", "import", "signature".

    Raises
    ------
    ScriptUnreadable, ScriptImportFailed, MissingFunction, BadSignature
        The cause is the user's own exception where there is one.
    """
    progress("read")
    code = _compile(path)
    progress("import")
    _extend_path(app_root, path.parent)
    module = _import(path, code)
    progress("signature")
    return _examine(path, module, app_root)


def run_init(script: EntryScript) -> None:
    """Call ``init()``.

    Raises
    ------
    ModelPathFailed
        It asked for a model that does not resolve.
    InitFailed
        It raised anything else.
    """
    try:
        result = script.init()
        if inspect.iscoroutine(result):
            script.loop.complete(result)
    except ModelNotFound as error:
        raise ModelPathFailed(str(error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise InitFailed(f"init() raised {_shown(error)}") from error


def _compile(path: Path) -> CodeType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ScriptUnreadable(f"{path}: {error.strerror}") from error
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise ScriptUnreadable(f"{path} is not Python: {error}") from error


def _extend_path(*folders: Path) -> None:
    wanted = list(dict.fromkeys(str(folder.absolute()) for folder in folders))
    sys.path[:] = wanted + [entry for entry in sys.path if entry not in wanted]


def _import(path: Path, code: CodeType) -> ModuleType:
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_entry_script"
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # noqa: S101 - a loader was given
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - this is what an entry script is for
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[name]
        raise ScriptImportFailed(f"Importing {path.name} raised {_shown(error)}") from error
    return module


def _examine(path: Path, module: ModuleType, app_root: Path) -> EntryScript:
    found = [name for name, value in vars(module).items() if isinstance(value, FunctionType)]
    for name in ("init", "run"):
        if not callable(getattr(module, name, None)):
            raise MissingFunction(path, name, found)
    run = module.run
    driver = getattr(module, "driver_module", None)
    if isinstance(driver, ModuleType) and callable(getattr(driver, "run", None)):
        run = driver.run
    parameters = list(inspect.signature(run).parameters)
    raw = getattr(run, RAW_MARK, False)
    return EntryScript(
        path=path,
        module=module,
        init=module.init,
        run=run,
        style="raw" if raw else "plain",
        data_parameter=next(name for name in parameters if name != HEADERS_PARAMETER),
        wants_headers=HEADERS_PARAMETER in parameters,
        is_async=inspect.iscoroutinefunction(run),
        app_root=app_root,
    )


def _shown(error: BaseException) -> str:
    text = str(error)
    return type(error).__name__ + (f": {text}" if text else "")
