"""Returns at once, and then takes its time."""

import time


def init():
    pass


def run(data):
    return chunks()


def chunks():
    for number in range(3):
        yield str(number)
        time.sleep(0.4)
