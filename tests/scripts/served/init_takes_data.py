"""init() wants an argument."""


def init(model):
    pass


def run(data):
    return data
