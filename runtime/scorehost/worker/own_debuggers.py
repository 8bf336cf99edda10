"""Notices when a script imports a debugger, and only then loads what deals with it.

This is a finder that looks at the names of imports. It is asked before any other, answers for two
names and costs the others nothing worth measuring.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

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

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that other finders give; the module is adapted once it has run."""
        if fullname not in DEBUGGERS:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                loader = spec.loader
                # Before Python 3.10 that of a zip file has no such method.
                if loader is not None and hasattr(loader, "exec_module"):
                    spec.loader = _Adapting(loader, self._shared)
                return spec
        return None


class _Adapting(Loader):
    """Loads one module with its own loader, which other modules may share, and adapts it."""

    def __init__(self, loader: Loader, shared: SharedState | None) -> None:
        self._loader = loader
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        from scorehost.dev.script_debuggers import adapt

        assert module.__spec__ is not None  # noqa: S101 - it was made from its spec
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        adapt(module, self._shared)
