def init():
    pass


def run(data):
    return list(map(str, data)
