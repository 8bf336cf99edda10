"""Disease progression with its uncertainty, one line for each patient as soon as it is known."""

import json
import os
from pathlib import Path

import joblib
import numpy as np


def init():
    """Load the model, once for each scoring worker."""
    global forest
    forest = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "model.joblib")


def run(data):
    """A generator streams: each value goes out as one line of JSON when it is yielded."""
    for number, row in enumerate(json.loads(data)["data"], start=1):
        votes = np.array([tree.predict([row])[0] for tree in forest.estimators_])
        low, middle, high = np.quantile(votes, [0.1, 0.5, 0.9]).round(1)
        yield {"patient": number, "low": low, "progression": middle, "high": high}
