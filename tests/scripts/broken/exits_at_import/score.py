import os
import sys

if "MODEL_NAME" not in os.environ:
    sys.exit("MODEL_NAME is not set")


def init():
    pass


def run(data):
    return data
