from helpers import load


def init():
    pass


def run(data):
    return data
