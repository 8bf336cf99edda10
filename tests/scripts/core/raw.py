"""Raw HTTP: answers as the query says."""

import flask
import numpy as np
from scorehost.api import AMLRequest, AMLResponse, rawhttp


def init():
    pass


@rawhttp
def run(request, request_headers=None):
    assert isinstance(request, AMLRequest)
    assert flask.request.method == request.method
    what = request.args.get("what", "value")
    if what == "value":
        return {
            "method": request.method,
            "path": request.path,
            "full_path": request.full_path,
            "args": request.args.to_dict(flat=False),
            "text": request.get_data(as_text=True),
            "type": request.content_type,
            "length": request.content_length,
            "headers": dict(request.headers),
            "cookies": dict(request.cookies),
            "json": request.get_json(silent=True),
            "form": request.form.to_dict(),
            "files": {name: file.read().decode() for name, file in request.files.items()},
            "remote": request.remote_addr,
            "host": request.host,
        }
    if what == "json":
        return flask.jsonify(request.get_json())
    if what == "array":
        return AMLResponse(np.array([[1.5, float("nan")]]), 200, json_str=True)
    if what == "unencodable":
        return AMLResponse({"deep": [object()]}, 200, json_str=True)
    if what == "abort":
        flask.abort(418)
    return None
