import os


def init():
    os.abort()


def run(data):
    return data
