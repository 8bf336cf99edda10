"""How long ``run()`` takes by itself on the server's core: the floor under every figure."""

from __future__ import annotations

import subprocess
import sys

from harness.payloads import GUIDE, WORKLOADS
from harness.servers import SERVER_CORE

_PROGRAM = """
import sys, timeit, score
score.init()
body = sys.argv[1]
print(min(timeit.repeat(lambda: score.run(body), number=5000, repeat=7)) / 5000 * 1e6)
"""


def microseconds() -> float:
    """The best of seven series, in a fresh process."""
    finished = subprocess.run(
        ["taskset", "-c", SERVER_CORE, sys.executable, "-c", _PROGRAM, GUIDE.body.decode()],
        cwd=WORKLOADS, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(finished.stdout)
