import os

os.environ["SCORING_API_KEYS"] = "from the image"


def init():
    global key
    key = os.environ["SCORING_API_KEY"]


def run(data):
    return data
