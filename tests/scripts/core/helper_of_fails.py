"""A sibling module of fails.py."""


def divide(a, b):
    return a / b
