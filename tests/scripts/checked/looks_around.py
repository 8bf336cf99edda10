"""Answers with what the contract promises it."""

import os
import sys


def init():
    pass


def run(data):
    names = ("AML_APP_ROOT", "AZUREML_MODEL_DIR", "AML_APP_INSIGHTS_ENABLED", "FROM_OUTSIDE")
    return {"variables": {name: os.environ.get(name) for name in names}, "path": sys.path[0]}
