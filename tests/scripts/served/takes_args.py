"""run() has *args."""


def init():
    pass


def run(data, *args):
    return data
