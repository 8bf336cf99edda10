def init():
    global total
    total = sum(range(10)) / 0


def run(data):
    return data
