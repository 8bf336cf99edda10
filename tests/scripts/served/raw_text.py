"""Answers with the text it was given, whatever it is."""


def init():
    pass


def run(data):
    assert isinstance(data, str)
    return data
