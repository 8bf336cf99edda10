"""Write what was found: one JSON file for each benchmark, beside what it was found with."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness import machine
from harness.servers import ServerSpec

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = CHECKOUT / "benchmarks" / "results"


def write(
    name: str,
    question: str,
    specs: Iterable[ServerSpec],
    body: Mapping[str, object],
    folder: Path = RESULTS,
) -> Path:
    """Write ``results/<name>.json`` and return its path."""
    document = {
        "question": question,
        "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **machine.commit(),
        "machine": machine.describe(),
        "versions": {spec.name: machine.versions(spec.python, spec.packages) for spec in specs},
        **body,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    text = json.dumps(rounded(document), indent=1, ensure_ascii=False)
    file.write_text(text.replace(f"{CHECKOUT}/", "") + "\n", "utf-8")  # wherever that lies
    return file


def rounded(value: object) -> object:
    """The same value with its floats rounded to four places."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
