from preprocesing import clean


def init():
    pass


def run(data):
    return data
