def init():
    global model
    if True:
        model = 1
      print("loaded")


def run(data):
    return data
