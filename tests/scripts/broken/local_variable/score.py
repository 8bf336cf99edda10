model = None


def init():
    if model is None:
        model = "loaded"


def run(data):
    return data
