"""Answers of some megabytes, made before they are asked for."""

import json

import numpy as np

FLOATS = [number / 7 for number in range(100_000)]
ANSWERS = {
    "ready": "ready",
    "floats": FLOATS,
    "with a NaN": [*FLOATS[:-1], float("nan")],
    "float32": np.array(FLOATS, dtype=np.float32),
    "texts": [f"text number {number}" for number in range(100_000)],
}


def init():
    """Have nothing to load."""


def run(data):
    return ANSWERS[json.loads(data)]
