"""Loading the entry script: read it, import it, look at ``init`` and ``run``, call ``init()``.

The script is imported as a proper module under its own name, so that what it defines can be
pickled; pickles that a training script wrote (``__main__.Model``) find the script's classes
too. Its source is compiled here, never taken from a cached ``.pyc``: what is on disk is what
runs, and tracebacks keep showing it after the file has changed. What this cannot do: undo what
a script did before it failed.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import linecache
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from scorehost.errors import (
    BadSignature,
    EntryScriptError,
    InitFailed,
    MissingFunction,
    ModelNotFound,
    ModelPathFailed,
    ScriptImportFailed,
    ScriptUnreadable,
)
from scorehost.event_loop import EventLoop
from scorehost.older_python import standard_modules
from scorehost.signatures import calling_style, check_init

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Progress: TypeAlias = "Callable[[str], None]"

_RAW_MODULES: Final = (
    "azureml.contrib.services.aml_request",
    "azureml_inference_server_http.api.aml_request",
)
"""Where other packages' ``rawhttp`` leaves its mark: a variable of the module."""

_RAW_VARIABLE: Final = "_rawHttpRequested"

_SCHEMAS_MODULE: Final = "inference_schema.schema_util"
_SCHEMAS_VARIABLE: Final = "__functions_schema__"
"""Where inference-schema keeps, by name, what decorated functions take and return."""

_MODEL_ERRORS: Final = frozenset({"ModelNotFound", "ModelNotFoundException"})
"""Names of the errors that say a model does not resolve: ours, and azureml-core's."""


@dataclass(frozen=True)
class EntryScript:
    """A loaded entry script and how its ``run()`` wants to be called.

    Parameters
    ----------
    path : the script's file, absolute.
    module : the imported module.
    init, run : what is called; ``run`` comes from the ``driver_module`` of a wrapper.
    style : "plain" (text), "typed" (inference-schema) or "raw" (the HTTP request).
    data_parameter : name of the single data parameter; None for typed scripts.
    wants_headers : ``run()`` has a parameter ``request_headers``.
    app_root : for short paths in logs.
    loop : where coroutines of ``init()`` and ``run()`` are run.
    """

    path: Path
    module: ModuleType
    init: Callable[[], object]
    run: Callable[..., object]
    style: str
    data_parameter: str | None
    wants_headers: bool
    app_root: Path = Path()
    loop: EventLoop = field(default_factory=EventLoop, compare=False, repr=False)


def _untold(_stage: str) -> None:
    """Nobody wants to know the stage."""


def load_entry_script(path: Path, app_root: Path, progress: Progress = _untold) -> EntryScript:
    """Read and import a script and find out how to call it.

    Parameters
    ----------
    path : the script's file.
    app_root : stands before the script's own folder on ``sys.path``.
    progress : told each stage as it begins: "read", "import", "signature".

    Raises
    ------
    ScriptUnreadable, ScriptImportFailed, ModelPathFailed, MissingFunction, BadSignature
        The cause is the user's own exception where there is one.
    """
    path = path.absolute()
    progress("read")
    code = _compile(path, _read(path))
    progress("import")
    _extend_path(app_root.absolute(), path.parent)
    _forget_marks(_module_name(path))
    module = _import(path, code)
    progress("signature")
    return _examine(path, module, app_root)


def run_init(script: EntryScript) -> None:
    """Call ``init()``, and wait for it when it is an ``async def``.

    Raises
    ------
    ModelPathFailed
        It asked for a model that does not resolve.
    InitFailed
        It raised anything else, ``SystemExit`` included.
    """
    try:
        result = script.init()
        if inspect.iscoroutine(result):
            script.loop.complete(result)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit(), or the panic of a native extension
        raise _start_error(error, InitFailed, "init()") from error


# -- reading ------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError as error:
        problem = f"{path} is a folder, not a script. {_scripts_in(path)}"
        raise ScriptUnreadable(problem) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"{path} does not exist. {_scripts_in(_existing_folder(path))}"
        raise ScriptUnreadable(problem) from error
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror or error}."
        raise ScriptUnreadable(problem) from error


def _compile(path: Path, source: bytes) -> CodeType:
    """Compile as Python itself would: coding line, byte order mark and all."""
    try:
        code: CodeType = compile(source, str(path), "exec", dont_inherit=True)
        lines = io.StringIO(importlib.util.decode_source(source)).readlines()
    except SyntaxError as error:
        where = f" (line {error.lineno})" if error.lineno else ""
        problem = f"{path.name} is not valid Python{where}: {error.msg}"
        raise ScriptUnreadable(problem) from error
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:
        problem = f"{path.name} cannot be compiled: {_shown(error)}"
        raise ScriptUnreadable(problem) from error
    # No modification time: linecache then never replaces these lines by newer ones.
    linecache.cache[str(path)] = (len(source), None, lines, str(path))
    return code


def _existing_folder(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.is_dir())


def _scripts_in(folder: Path, most: int = 10) -> str:
    try:
        names = sorted(file.name for file in folder.glob("*.py"))
    except OSError:
        names = []
    shown = ", ".join(names[:most]) + (", …" if len(names) > most else "")
    return f"Python files in {folder}: {shown or 'none'}."


# -- importing ----------------------------------------------------------------------------


def _extend_path(*folders: Path) -> None:
    wanted = list(dict.fromkeys(str(folder) for folder in folders))
    sys.path[:] = wanted + [entry for entry in sys.path if entry not in wanted]


def _import(path: Path, code: CodeType) -> ModuleType:
    module = _new_module(path)
    name = module.__name__
    sys.modules[name] = module
    _lend_to_main(module)
    try:
        exec(code, module.__dict__)  # noqa: S102 - this is what an entry script is for
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit(), or the panic of a native extension
        sys.modules.pop(name, None)
        raise _start_error(error, ScriptImportFailed, f"importing {path.name}") from error
    # A module may replace itself in sys.modules; import takes what is there afterwards.
    return sys.modules.get(name, module)


def _new_module(path: Path) -> ModuleType:
    name = _module_name(path)
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:  # only without a loader
        raise ScriptUnreadable(f"{path} has no module to import.")
    return importlib.util.module_from_spec(spec)


def _module_name(path: Path) -> str:
    """The file's name, unless a module of that name is there, or belongs to Python."""
    name = path.stem
    there = sys.modules.get(name)
    if there is not None and getattr(there, "__file__", None) == str(path):
        return name
    if there is not None or name in standard_modules():
        return f"{name}_entry_script"
    return name


def _lend_to_main(module: ModuleType) -> None:
    """Let ``__main__.X`` of a pickle mean the script's X, where ``__main__`` has none."""
    main = sys.modules["__main__"]

    def look_in_script(name: str) -> Any:
        if not name.startswith("__") and name in module.__dict__:
            return module.__dict__[name]
        raise AttributeError(f"module '__main__' has no attribute {name!r}")

    main.__dict__["__getattr__"] = look_in_script


def _start_error(error: BaseException, kind: type[EntryScriptError], what: str) -> EntryScriptError:
    if isinstance(error, ModelNotFound) or type(error).__name__ in _MODEL_ERRORS:
        return ModelPathFailed(str(error))
    return kind(f"{what} raised {_shown(error)}")


def _shown(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # the class is the user's
        text = ""
    return type(error).__name__ + (f": {text}" if text else "")


# -- looking ------------------------------------------------------------------------------


def _examine(path: Path, module: ModuleType, app_root: Path) -> EntryScript:
    init = _function(path, module, "init")
    check_init(init)
    run = _run_of_driver(module) or _function(path, module, "run")
    style = calling_style(run, marked_raw=_raw_mark_elsewhere())
    return EntryScript(
        path=path,
        module=module,
        init=init,
        run=run,
        style=style.style,
        data_parameter=style.data_parameter,
        wants_headers=style.wants_headers,
        app_root=app_root,
    )


def _run_of_driver(module: ModuleType) -> Callable[..., object] | None:
    """The ``run`` of the script that a generated wrapper calls its ``driver_module``."""
    driver = getattr(module, "driver_module", None)
    run = getattr(driver, "run", None) if isinstance(driver, ModuleType) else None
    return run if callable(run) else None


def _function(path: Path, module: ModuleType, name: str) -> Callable[..., object]:
    missing = object()
    function = getattr(module, name, missing)
    if function is missing:
        raise MissingFunction(path, name, list(_functions(module)))
    if not callable(function):
        kind = type(function).__name__
        remedy = f"Write 'def {name}(...):', and call the variable something else"
        raise BadSignature(name, "", f"it is not a function but a {kind}", remedy)
    return function


def _functions(module: ModuleType) -> Iterator[str]:
    """Names of the functions that the script defines itself."""
    for name, value in vars(module).items():
        if inspect.isroutine(value) and getattr(value, "__module__", None) == module.__name__:
            yield name


def _forget_marks(name: str) -> None:
    """Forget what other packages remember of a script that was loaded before this one."""
    for module in map(sys.modules.get, _RAW_MODULES):
        if hasattr(module, _RAW_VARIABLE):
            setattr(module, _RAW_VARIABLE, False)
    schemas = getattr(sys.modules.get(_SCHEMAS_MODULE), _SCHEMAS_VARIABLE, {})
    schemas.pop(f"{name}.run", None)


def _raw_mark_elsewhere() -> bool:
    modules = (sys.modules.get(name) for name in _RAW_MODULES)
    return any(getattr(module, _RAW_VARIABLE, False) for module in modules)
