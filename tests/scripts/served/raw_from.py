"""Takes rawhttp and AMLResponse from the package that the environment names."""

import importlib
import os

PACKAGE = os.environ["RAW_API"]
rawhttp = importlib.import_module(f"{PACKAGE}.aml_request").rawhttp
AMLResponse = importlib.import_module(f"{PACKAGE}.aml_response").AMLResponse


def init():
    pass


@rawhttp
def run(request):
    return AMLResponse(request.method, 201)
