"""A helper is marked raw, run() is not."""

from azureml.contrib.services.aml_request import rawhttp


def init():
    pass


@rawhttp
def helper(request):
    return request


def run(data):
    return {"kind": type(data).__name__}
