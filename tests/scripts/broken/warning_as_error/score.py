import warnings


def init():
    warnings.simplefilter("error")
    warnings.warn("old way of loading", DeprecationWarning)


def run(data):
    return data
