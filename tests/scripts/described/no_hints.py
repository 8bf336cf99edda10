"""Says nothing about its data."""


def init():
    pass


def run(data):
    return data
