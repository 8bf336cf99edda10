from loading.loader import Loader


def init():
    global model
    model = Loader("weights.csv").load()


def run(data):
    return data
