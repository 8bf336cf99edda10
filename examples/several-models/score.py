"""The grower of a wine by two models at once, each found by its name."""

import json

import joblib
from azureml.core.model import Model

NAMES = ("wine-linear", "wine-trees")


def init():
    """Load the highest version of each model; ``version=1`` would ask for the first."""
    global models
    models = {name: joblib.load(Model.get_model_path(name)) for name in NAMES}


def run(data):
    """Take ``{"data": [[...], ...]}``; answer what each model thinks of each grower."""
    wines = json.loads(data)["data"]
    return {name: model.predict_proba(wines).round(3) for name, model in models.items()}
