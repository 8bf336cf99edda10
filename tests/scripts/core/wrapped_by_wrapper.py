"""The script behind wrapper.py."""


def init():
    raise AssertionError("init() of the wrapper is the one to call")


def run(payload):
    return payload
