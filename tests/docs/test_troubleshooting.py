"""The reports on the troubleshooting page are those that people get."""

from __future__ import annotations

import pytest

from support.broken_scripts import PAGE, drawn, reports_on

ON_THE_PAGE = reports_on(PAGE.read_text("utf-8"))


def test_there_are_reports_on_it() -> None:
    assert len(ON_THE_PAGE) >= 10


@pytest.mark.parametrize("name", sorted(ON_THE_PAGE))
def test_report(name: str) -> None:
    """As it is compared with the real one, or made here. To write it anew, run
    ``tests/support/broken_scripts.py``.
    """
    assert ON_THE_PAGE[name] == drawn(name) + "\n"
