"""A raw script that looks at the request."""

from azureml.contrib.services.aml_request import rawhttp


def init():
    pass


@rawhttp
def run(request):
    return {
        "bytes": len(request.get_data()),
        "type": request.content_type,
        "length": request.headers["Content-Length"],
    }
