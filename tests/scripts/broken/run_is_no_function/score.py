def init():
    pass


run = {"data": []}
