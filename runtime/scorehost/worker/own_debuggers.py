"""Notices when a script imports a debugger, and only then loads what deals with it.

This is a finder that looks at the names of imports. It is asked before any other, answers for two
names and costs the others nothing worth measuring.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

from scorehost.wire.shared import SharedState

DEBUGGERS: Final = frozenset({"debugpy", "ptvsd"})


def watch_imports(shared: SharedState | None) -> None:
    """Adapt the debuggers that the script imports to a server with several workers.

    Parameters
    ----------
    shared : where the front hears of clients; None where there is no server, and a script must
        not wait for an editor.
    """
    sys.meta_path.insert(0, _Finder(shared))


class _Finder:
    def __init__(self, shared: SharedState | None) -> None:
        self._shared = shared
        self._wanted = set(DEBUGGERS)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol has it
        target: ModuleType | None = None,  # noqa: ARG002 - as has this
    ) -> ModuleSpec | None:
        """Return the spec that other finders give; the module is adapted once it has run."""
        if fullname not in self._wanted:
            return None
        self._wanted.discard(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_adapt(module: ModuleType) -> None:
                execute(module)
                from scorehost.dev.script_debuggers import adapt

                adapt(module, self._shared)

            spec.loader.exec_module = execute_and_adapt  # type: ignore[method-assign]
        return spec
