import os


def init():
    print("giving up", flush=True)
    os._exit(7)


def run(data):
    return data
