"""Large answers that cost the worker little, and the small one of ``score.py``.

``{"size": bytes}`` is answered with so many bytes, which are made once.
"""

import json
from functools import cache

import score
from azureml.contrib.services.aml_response import AMLResponse


def init():
    score.init()


@cache
def made(size):
    return b"x" * size


def run(data):
    asked = json.loads(data)
    if "size" in asked:
        return AMLResponse(made(asked["size"]), 200)
    return score.predict(asked["data"])
