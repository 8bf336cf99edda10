"""uvloop is an extra: without it everything that has to do with connections is the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1] / "http"
ABOUT_CONNECTIONS = (
    "test_http_protocol.py",
    "test_malformed.py",
    "test_streaming.py",
    "test_transports.py",
)


@pytest.mark.timeout(500)
def test_the_tests_of_connections(tmp_path: Path) -> None:
    """The same tests against servers for which there is no uvloop."""
    (tmp_path / "uvloop.py").write_text('raise ImportError("as if it were not installed")')
    others = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(
                f"--basetemp={tmp_path / 'pytest'}",
                *(str(TESTS / name) for name in ABOUT_CONNECTIONS),
            ),
        ],
        env=others | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout[-8000:]
    assert "skipped" not in done.stdout
