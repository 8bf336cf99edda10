"""What takes longer: four milliseconds of work, and the answer of ``score.py``."""

import time

import score


def init():
    score.init()


def run(data):
    end = time.perf_counter() + 0.004
    while time.perf_counter() < end:
        pass
    return score.run(data)
