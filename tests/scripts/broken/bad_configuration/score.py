import json
import os


def init():
    global options
    path = os.path.join(os.path.dirname(__file__), "options.json")
    with open(path) as file:
        options = json.load(file)


def run(data):
    return data
