def init():
    global names
    with open("labels/names.txt") as file:
        names = file.read().split()


def run(data):
    return data
