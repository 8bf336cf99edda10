"""A raw script that streams through a Response of its own."""

import time
from pathlib import Path

from azureml.contrib.services.aml_request import rawhttp
from flask import Response

HERE = Path(__file__).parent


def init():
    pass


def events():
    yield "data: 1\n\n"
    while not (HERE / "second").exists():
        time.sleep(0.005)
    yield "data: 2\n\n"


@rawhttp
def run(request):
    return Response(events(), mimetype="text/event-stream")
