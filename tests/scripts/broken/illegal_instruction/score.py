import os
import signal


def init():
    os.kill(os.getpid(), signal.SIGILL)


def run(data):
    return data
