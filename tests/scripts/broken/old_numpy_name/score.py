import numpy as np

KIND = np.float


def init():
    pass


def run(data):
    return data
