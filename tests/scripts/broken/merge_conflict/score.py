def init():
<<<<<<< HEAD
    load("model-1")
=======
    load("model-2")
>>>>>>> feature


def run(data):
    return data
