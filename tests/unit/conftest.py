"""Fixtures of the tests that need no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.package_index import PackageIndex, fill_index
from support.scripts import Loader


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Loader]:
    """Entry scripts loaded into this process; undone when the test ends."""
    loader = Loader(tmp_path)
    yield loader
    loader.undo()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    """A package index on loopback, with the usual packages."""
    served = PackageIndex(fill_index(tmp_path_factory.mktemp("wheels")))
    yield served
    served.close()


@pytest.fixture
def wheels(index: PackageIndex) -> Path:
    """The folder of the index."""
    return index.folder


@pytest.fixture
def environ(tmp_path: Path, index: PackageIndex) -> dict[str, str]:
    """An environment in which pip knows the index, and nothing else."""
    return index.environ(tmp_path)
