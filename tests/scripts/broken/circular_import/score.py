from features import scale


def init():
    pass


def run(data):
    return data
