import os
import warnings

import joblib
from sklearn.exceptions import InconsistentVersionWarning

warnings.simplefilter("error", InconsistentVersionWarning)


def init():
    global model
    model = joblib.load(os.path.join(os.path.dirname(__file__), "model.pkl"))


def run(data):
    return data
