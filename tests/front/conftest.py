"""Fixtures of the tests whose server is a real front in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.memory import MemoryServer

StartMemory = Callable[..., MemoryServer]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[StartMemory]:
    """Serve a script for one test alone. Takes what ``MemoryServer`` takes."""
    yield from _servers(tmp_path, shared=False)


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartMemory]:
    """Serve a script; the tests of a module that ask for the same share one server."""
    yield from _servers(tmp_path_factory.mktemp("shared"), shared=True)


def _servers(folder: Path, *, shared: bool) -> Iterator[StartMemory]:
    started: list[MemoryServer] = []
    known: dict[str, MemoryServer] = {}

    def start(script: str = "", **options: Any) -> MemoryServer:
        key = repr((script, options))
        if not shared or key not in known:
            known[key] = MemoryServer(folder / f"app{len(started)}", script, **options)
            started.append(known[key])
        return known[key]

    yield start
    for server in started:
        server.close()
