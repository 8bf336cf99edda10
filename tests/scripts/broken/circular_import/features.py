from labels import NAMES


def scale(x):
    return x, NAMES
