"""Fails in run(), with a secret in the message."""

SECRET = "the-password-is-swordfish"


def init():
    pass


def run(data):
    raise ValueError(SECRET)
