import os

import joblib


def init():
    global model
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "sklearn_model.pkl")
    model = joblib.load(path)


def run(data):
    return data
