"""Builds a Flask Response from the posted arguments."""

import json

from flask import Response


def init():
    pass


def run(data):
    arguments = json.loads(data)
    response = Response(arguments["body"], arguments["status"])
    response.headers.extend(arguments.get("headers", {}))
    return response
