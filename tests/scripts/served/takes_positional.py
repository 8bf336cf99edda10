"""run() has a positional-only parameter."""


def init():
    pass


def run(data, /):
    return data
