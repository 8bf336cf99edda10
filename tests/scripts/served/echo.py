"""Answers with the JSON value it was sent."""

import json


def init():
    pass


def run(data):
    return json.loads(data)
