"""Builds an AMLResponse from the posted arguments."""

import json

from azureml.contrib.services.aml_response import AMLResponse


def init():
    pass


def run(data):
    return AMLResponse(**json.loads(data))
