"""The bodies that are sent, each with its right answer."""

from __future__ import annotations

import json
from pathlib import Path

from harness.servers import Workload

WORKLOADS = Path(__file__).resolve().parents[1] / "workloads"
"""The entry scripts."""

GUIDE = Workload((WORKLOADS / "request.json").read_bytes().strip(), [385.0, 220.0])
"""The small body that every page about a ``score.py`` uses."""

SUMS = Workload(GUIDE.body, [55.0, 55.0])
"""The same body, as ``two_milliseconds.py`` answers it."""

LARGE_MODEL = Workload(GUIDE.body, [56.0, 65.0])
"""The same body, as ``large_model.py`` answers it."""


def two_megabytes() -> Workload:
    """10,000 rows of ten floats: 2 MB of JSON."""
    rows = [[number + column / 7 for column in range(10)] for number in range(10_000)]
    answer = [
        sum(value * weight for weight, value in enumerate(row, 1)) for row in rows
    ]  # compared loosely by the caller: numpy adds in another order
    return Workload(json.dumps({"data": rows}).encode(), answer)
