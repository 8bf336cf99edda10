"""A model of 300 MB of numpy arrays, for the memory benchmark; one row is read a request."""

import json

import numpy

ARRAYS, MEGABYTES_EACH = 30, 10
model: list = []


def init():
    # Written once, so that every page is really there and really shared, or really not.
    model.extend(numpy.full(MEGABYTES_EACH * 2**20 // 8, float(number)) for number in range(ARRAYS))


def run(data):
    rows = json.loads(data)["data"]
    return [sum(row) + float(model[int(row[0]) % ARRAYS][0]) for row in rows]
