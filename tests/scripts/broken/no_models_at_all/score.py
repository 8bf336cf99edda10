from azureml.core.model import Model


def init():
    global path
    path = Model.get_model_path("my-best-model")


def run(data):
    return data
