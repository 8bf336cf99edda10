"""Commands that end by themselves, run as a user would."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.pythons import SERVER_PYTHON
from support.server import clean_environment


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


def run(folder: Path, *arguments: str, timeout: float = 60, **settings: str) -> Ended:
    """Run ``scorehost`` in a folder, which is the app root."""
    done = subprocess.run(
        [SERVER_PYTHON, "-m", "scorehost", *arguments],
        cwd=folder,
        env=environment(folder, settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """An environment whose app root is the folder."""
    return clean_environment({"AML_APP_ROOT": str(folder), "PYTHONUTF8": "1", **settings})
