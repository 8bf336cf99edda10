import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
arguments = parser.parse_args()


def init():
    pass


def run(data):
    return data
