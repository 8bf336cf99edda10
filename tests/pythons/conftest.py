"""Each test in every Python of this machine, in environments that ``make pythons`` has made."""

from __future__ import annotations

import pytest

from support.pythons import ENVIRONMENTS, pythons_here


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", list(pythons_here()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if items and not ENVIRONMENTS.is_dir():
        pytest.exit("The environments of these tests are made by: make pythons", returncode=2)
