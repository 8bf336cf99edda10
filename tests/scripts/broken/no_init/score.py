model = None


def load_model():
    global model
    model = 1


def run(data):
    return model
