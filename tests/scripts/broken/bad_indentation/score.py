import json


def init():
global model
    model = json.loads("{}")


def run(data):
    return data
