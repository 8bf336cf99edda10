import numpy as np


def init():
    global table
    table = np.zeros((1 << 45, 16))


def run(data):
    return data
