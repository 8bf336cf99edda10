from azureml.core.model import Model
import joblib


def init():
    global model
    model = joblib.load(Model.get_model_path("diabetes"))


def run(data):
    return data
