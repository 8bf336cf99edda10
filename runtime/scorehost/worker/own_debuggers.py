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
from typing import TYPE_CHECKING, Final

from scorehost.wire.shared import SharedState

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # the module would bring tempfile, shutil and more into every worker for two empty classes
    Loader = MetaPathFinder = object

DEBUGGERS: Final = frozenset({"debugpy", "ptvsd"})


def watch_imports(shared: SharedState | None) -> None:
    """Adapt the debuggers that the script imports to a server with several workers.

    Parameters
    ----------
    shared : where the front hears of clients; None where nobody serves, and a script must not
        wait for an editor.
    """
    sys.meta_path.insert(0, _Finder(shared))


class _Finder(MetaPathFinder):
    def __init__(self, shared: SharedState | None) -> None:
        self._shared = shared
        self._wanted = set(DEBUGGERS)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol has it
        target: ModuleType | None = None,  # noqa: ARG002 - as has this
    ) -> ModuleSpec | None:
        """Answer once for each debugger: with what the others find, and our loader around it."""
        if fullname not in self._wanted:
            return None
        self._wanted.discard(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Adapting(spec.loader, self._shared)
        return spec


class _Adapting(Loader):
    """Loads the module, then adapts it."""

    def __init__(self, loader: Loader, shared: SharedState | None) -> None:
        self._loader = loader
        self._shared = shared

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then adapt its functions."""
        self._loader.exec_module(module)
        from scorehost.dev.script_debuggers import adapt

        adapt(module, self._shared)
