"""Each test in every Python of this machine, in environments that ``make pythons`` has made."""

from __future__ import annotations

import pytest

from support.pythons import ENVIRONMENTS, pythons_here


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", list(pythons_here()))


@pytest.fixture(autouse=True)
def environments() -> None:
    if not ENVIRONMENTS.is_dir():
        pytest.fail("make test makes the environments that this needs, in .venv-pythons")
