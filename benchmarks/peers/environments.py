"""Give each peer an environment of its own under ``benchmarks/.envs/``.

An environment is made once and again when its requirements or the interpreter change.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

from peers.catalogue import ENVIRONMENT_OF, ENVIRONMENTS, OURS_NAME, python_of

REQUIREMENTS = Path(__file__).parent / "requirements"


def prepare(servers: Iterable[str]) -> None:
    """Make the environments that these servers need and do not have yet."""
    wanted = {ENVIRONMENT_OF.get(name, name) for name in servers if name != OURS_NAME}
    for environment in sorted(wanted):
        _prepare_one(environment)


def prepare_tool(name: str) -> Path:
    """Make an environment for a tool and return its ``bin`` folder."""
    _prepare_one(name)
    return ENVIRONMENTS / name / "bin"


def _prepare_one(environment: str) -> None:
    requirements = REQUIREMENTS / f"{environment}.txt"
    stamp = ENVIRONMENTS / environment / "made-from"
    made_from = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == made_from:
        return
    print(f"Installing {environment} …", file=sys.stderr, flush=True)
    venv.create(ENVIRONMENTS / environment, with_pip=True, clear=True)
    subprocess.run(
        [python_of(environment), "-m", "pip", "install", "-qq", "-r", requirements],
        check=True,
    )
    stamp.write_text(made_from)
