def init():
    print("no licence")
    exit(1)


def run(data):
    return data
