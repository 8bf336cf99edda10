"""Answers with everything that run() was ever called with."""

import json

CALLS = []


def init():
    pass


def run(data):
    CALLS.append(json.loads(data))
    return CALLS
