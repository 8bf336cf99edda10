"""Fixtures of the hostile requests: one front in memory, and one real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hostile.cases import SCRIPT, SETTINGS
from support.memory import MemoryServer
from support.server import LiveServer, StartServer


@pytest.fixture(scope="module")
def memory_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryServer]:
    """One front in memory for all tests of a module."""
    folder = tmp_path_factory.mktemp("hostile") / "app"
    server = MemoryServer(folder, files={"main.py": SCRIPT}, settings=SETTINGS)
    yield server
    server.close()


@pytest.fixture
def real_server(live_server: StartServer) -> LiveServer:
    """A server on a port."""
    return live_server("", files={"main.py": SCRIPT}, settings=SETTINGS)
