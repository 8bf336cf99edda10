def Init():
    pass


def Run(data):
    return data
