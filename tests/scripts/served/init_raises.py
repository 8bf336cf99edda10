"""init() fails."""


def init():
    raise RuntimeError("the model is upside down")


def run(data):
    return data
