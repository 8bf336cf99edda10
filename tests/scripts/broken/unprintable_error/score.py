class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def init():
    raise Odd("seen")


def run(data):
    return data
