"""What a script's own calls of ptvsd and debugpy do in a scoring worker.

In debug mode the server's debugger listens already: the calls return at once, with a notice.
Otherwise they do what they say; of several workers the first gets the port, and the others continue
with a notice. While a client is attached, the front is told through the shared state, so that no
deadline ends a request at a breakpoint.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from scorehost.wire.shared import SharedState

_LOOK_EVERY: Final = 0.1
"""Seconds between two checks whether a client is attached."""
_log = logging.getLogger("scorehost")


def adapt(module: ModuleType, shared: SharedState | None) -> None:
    """Adapt a debugger that was just imported, outside debug mode."""
    if shared is None:
        silence(module)
    elif module.__name__ == "debugpy":
        _share(module, "listen", "wait_for_client", module.is_client_connected, shared)
    elif not hasattr(
        module, "__scorehost__"
    ):  # the stand-in calls debugpy, which is adapted itself
        _share(module, "enable_attach", "wait_for_attach", module.is_attached, shared)


def _share(
    module: ModuleType, listen: str, wait: str, attached: Callable[[], bool], shared: SharedState
) -> None:
    """Let the debuggers that the workers' scripts open themselves share one port.

    Parameters
    ----------
    module : debugpy or ptvsd.
    listen, wait : the names of its two functions, which are replaced.
    attached : returns whether a client is attached.
    shared : tells the front.
    """
    real_listen, real_wait = getattr(module, listen), getattr(module, wait)
    refused = False

    def listening(address: Any = ("0.0.0.0", 5678), *arguments: Any, **options: Any) -> Any:  # noqa: S104 - ptvsd's
        nonlocal refused
        try:
            result = real_listen(address, *arguments, **options)
        except (OSError, RuntimeError):
            if not port_taken(address):
                raise
            refused = True
            _log.warning(
                f"{module.__name__}: {shown(address)} is already in use, most likely by another "
                "worker, so this worker continues without a debugger. With one worker (--workers 1 "
                "or --debug), every request reaches the debugger."
            )
            return address
        watcher = threading.Thread(target=watch, name="scorehost-debugger", daemon=True)
        # The debugger must neither trace nor stop this thread.
        watcher.pydev_do_not_trace = watcher.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
        watcher.start()
        _log.info(f"{module.__name__}: the script's debugger listens on {shown(address)}")
        return result

    def watch() -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK_EVERY):
            shared.debugged = attached()

    def waiting(*arguments: Any, **options: Any) -> Any:
        return None if refused else real_wait(*arguments, **options)

    listening.original = real_listen  # type: ignore[attr-defined]
    if hasattr(real_wait, "cancel"):
        waiting.cancel = real_wait.cancel  # type: ignore[attr-defined]
    setattr(module, listen, listening)
    setattr(module, wait, waiting)


def port_taken(address: Any) -> bool:
    """Whether the address is in use."""
    host, port = address if isinstance(address, tuple) else ("127.0.0.1", address)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def shown(address: Any) -> str:
    """An address as people write it."""
    return ":".join(map(str, address)) if isinstance(address, tuple) else str(address)


# -- debug mode -----------------------------------------------------------------------------


def silence(module: ModuleType) -> None:
    """Without a server: a script that is only checked or replayed does not wait for an editor."""

    def nothing(*_: Any, **__: Any) -> None:
        _log.info(f"{module.__name__}: the call was ignored, because no server is running")

    nothing.cancel = nothing  # type: ignore[attr-defined]
    for name in ("listen", "wait_for_client", "enable_attach", "wait_for_attach"):
        if hasattr(module, name):
            setattr(module, name, nothing)


def answer_as_done(debugpy: ModuleType, address: tuple[str, int]) -> None:
    """In debug mode: the script's own calls change nothing, and log a notice."""

    def listen(*_: Any, **__: Any) -> tuple[str, int]:
        _log.warning(
            "the script's call to open a debugger was ignored, because in debug mode one already "
            f"listens on {shown(address)}"
        )
        return address

    def wait_for_client(*_: Any, **__: Any) -> None:
        _log.warning(
            "the script's call to wait for a debugger was ignored; in debug mode, use "
            "--debug-wait SECONDS to wait for one"
        )

    wait_for_client.cancel = lambda: None  # type: ignore[attr-defined]
    for name, answer in (("listen", listen), ("wait_for_client", wait_for_client)):
        setattr(debugpy, name, answer)
