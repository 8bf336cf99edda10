"""run() has no parameter."""


def init():
    pass


def run():
    return 1
