"""``ptvsd`` over debugpy, its successor, for scripts whose first lines open a debugger.

ptvsd 4 is no longer maintained and fails on recent Pythons; the functions that scripts call have
equivalents in debugpy under other names. Used where ptvsd itself is not installed.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

from scorehost.errors import UsageError

__scorehost__ = True


def _debugpy() -> Any:
    try:
        return import_module("debugpy")
    except ModuleNotFoundError as error:
        raise UsageError(
            "ptvsd.enable_attach() needs the package debugpy, which is not installed in the "
            "script's environment. Install it with: pip install debugpy. Or start the server with "
            "--debug, which needs no such line in the script."
        ) from error


def enable_attach(
    address: tuple[str, int] = ("0.0.0.0", 5678),  # noqa: S104 - as ptvsd has it
    redirect_output: bool = True,  # noqa: ARG001 - the client asks for it itself now
    log_dir: str | None = None,
) -> None:
    """Listen for a debugger's client; the debugger's own log goes to the folder ``log_dir``."""
    debugpy = _debugpy()
    if log_dir:
        debugpy.log_to(log_dir)
    debugpy.listen(tuple(address))


def wait_for_attach(timeout: float | None = None) -> None:
    """Wait until a client has attached, or for this many seconds."""
    wait = _debugpy().wait_for_client
    timer = threading.Timer(timeout or 0, wait.cancel)
    timer.daemon = True
    if timeout is not None:
        timer.start()
    wait()
    timer.cancel()


def attach(
    address: tuple[str, int],
    redirect_output: bool = True,  # noqa: ARG001
    log_dir: str | None = None,  # noqa: ARG001
) -> None:
    """Connect to a client that listens."""
    _debugpy().connect(tuple(address))


def is_attached() -> bool:
    """Whether a client is attached."""
    return bool(_debugpy().is_client_connected())


def break_into_debugger() -> None:
    """Stop here, if a client is attached."""
    _debugpy().breakpoint()


def debug_this_thread() -> None:
    """Have the debugger see this thread."""
    _debugpy().debug_this_thread()


def tracing(should_trace: bool | None = None) -> Any:
    """Switch tracing of this thread on or off."""
    return _debugpy().trace_this_thread(bool(should_trace))
