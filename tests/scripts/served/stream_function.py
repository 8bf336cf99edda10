"""run() itself is a generator function."""


def init():
    pass


def run(data):
    yield "first\n"
    yield data + "\n"
