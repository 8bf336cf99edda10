from helpers import load_modle


def init():
    pass


def run(data):
    return data
