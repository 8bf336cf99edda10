import os

import joblib


def init():
    global model
    model = joblib.load(os.path.join(os.path.dirname(__file__), "model.pkl"))


def run(data):
    return data
