"""Fixtures of the tests that need no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.scripts import Loader


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Loader]:
    """Entry scripts loaded into this process; undone when the test ends."""
    loader = Loader(tmp_path)
    yield loader
    loader.undo()
