"""Streams what it is asked to; waits for a gate between chunks where one is named."""

import json
import time
from pathlib import Path

HERE = Path(__file__).parent


def init():
    pass


def run(data):
    return chunks(json.loads(data))


def chunks(steps):
    try:
        for step in steps:
            if "wait" in step:
                while not (HERE / step["wait"]).exists():
                    time.sleep(0.005)
            elif "raise" in step:
                raise ValueError(step["raise"])
            elif "bytes" in step:
                yield bytes.fromhex(step["bytes"])
            elif "endless" in step:
                while True:
                    yield step["endless"]
            else:
                yield step["yield"]
    finally:
        (HERE / "generator.closed").touch()
