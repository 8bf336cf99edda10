import panda as pd


def init():
    pass


def run(data):
    return data
