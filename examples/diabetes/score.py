"""Disease progression from ten measurements: one row of numbers for each patient."""

import json
import os
from pathlib import Path

import joblib


def init():
    """Load the model, once for each scoring worker."""
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "model.joblib")


def run(data):
    """Take ``{"data": [[...], ...]}``; numpy arrays in the result are encoded as they are."""
    return {"progression": model.predict(json.loads(data)["data"]).round(1)}
