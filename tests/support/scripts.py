"""Entry scripts loaded into the test's own process, and what that leaves behind put right."""

from __future__ import annotations

import inspect
import linecache
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from scorehost.entry_script import EntryScript, load_entry_script, run_init
from scorehost.scoring.pipeline import Pipeline
from scorehost.wire.messages import HeaderList, ScoringRequest

CORE = Path(__file__).parents[1] / "scripts" / "core"


class Loader:
    """Loads scripts of a test, and can undo it.

    Parameters
    ----------
    folder : where scripts are written that are given as source.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = list(sys.path)
        self._main = sys.modules["__main__"].__dict__.get("__getattr__")
        self._loaded: list[EntryScript] = []

    def write(self, source: str | bytes, name: str = "score.py") -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else inspect.cleandoc(source).encode())
        return path

    def load(self, source: str | bytes, name: str = "score.py", **options: Any) -> EntryScript:
        """Load a script given as source."""
        return self.keep(load_entry_script(self.write(source, name), self.folder, **options))

    def named(self, name: str) -> EntryScript:
        """Load a script of tests/scripts/core, and run its ``init()``."""
        script = self.keep(load_entry_script(CORE / name, CORE))
        run_init(script)
        return script

    def pipeline(self, source: str, **options: Any) -> Pipeline:
        """Make the pipeline of a script: a file of tests/scripts/core, or source."""
        script = self.named(source) if source.endswith(".py") else self.load(source)
        return Pipeline(script, **options)

    @property
    def module(self) -> ModuleType:
        """The module of the script loaded last."""
        return self._loaded[-1].module

    def undo(self) -> None:
        """Leave the interpreter as it was."""
        sys.path[:] = self._path
        for script in self._loaded:
            script.loop.close()
        own = [script.module for script in self._loaded]
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if module in own or file.startswith((str(self.folder), str(CORE))):
                del sys.modules[name]
                linecache.cache.pop(file, None)
        main = sys.modules["__main__"].__dict__
        main.pop("__getattr__", None)
        if self._main is not None:
            main["__getattr__"] = self._main

    def keep(self, script: EntryScript) -> EntryScript:
        """Remember a script that was loaded otherwise, to undo it too."""
        self._loaded.append(script)
        return script


def post(body: bytes | str = b"", **options: Any) -> ScoringRequest:
    """Make a request as the front hands it over."""
    data = body.encode() if isinstance(body, str) else body
    return request("POST", body=data, **options)


def get(query: str = "", **options: Any) -> ScoringRequest:
    """Make a GET request with a query string."""
    return request("GET", target=f"/score?{query}" if query else "/score", **options)


def request(
    method: str,
    target: str = "/score",
    body: bytes = b"",
    content_type: str = "",
    headers: HeaderList | None = None,
    **options: Any,
) -> ScoringRequest:
    """Make any request."""
    return ScoringRequest.full(method, target, headers or [], content_type, body, **options)
