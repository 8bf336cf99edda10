def init():
    global model
    model = 1

    def run(data):
        return model
