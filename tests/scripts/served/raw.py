"""Raw HTTP: tells what it got, or does what the query says."""

from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
from flask import Request, send_file


def init():
    pass


@rawhttp
def run(request):
    assert isinstance(request, AMLRequest) and isinstance(request, Request)
    if "echo" in request.args:
        return AMLResponse(request.get_data(), 200, {"Content-Type": request.args["echo"]})
    if "this" in request.args:
        return send_file(__file__, conditional=True)
    if "file" in request.args:
        return {name: file.read().decode() for name, file in request.files.items()}
    if "form" in request.args:
        return request.form.to_dict()
    return {
        "method": request.method,
        "path": request.path,
        "args": request.args.to_dict(flat=False),
        "query": request.query_string.decode(),
        "body": request.get_data(as_text=True),
        "type": request.content_type,
        "custom": request.headers.get("X-Custom"),
        "json": request.get_json(silent=True),
        "remote": request.remote_addr,
        "host": request.host,
    }
