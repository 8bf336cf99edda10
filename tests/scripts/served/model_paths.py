"""Answers with what get_model_path() says, or with what it raises."""

import json

from azureml.core.model import Model


def init():
    pass


def run(data):
    arguments = json.loads(data)
    try:
        return {"path": Model.get_model_path(**arguments)}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}
