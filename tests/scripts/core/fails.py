"""Fails in run() in the way that is asked for."""

import json

import helper_of_fails


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Panic(BaseException):
    """What native extensions raise."""


class Unencodable:
    pass


def init():
    pass


def run(data):
    what = json.loads(data)
    if what == "deep":
        return helper_of_fails.divide(1, 0)
    if what == "cause":
        try:
            helper_of_fails.divide(1, 0)
        except ZeroDivisionError as error:
            raise LookupError("no such row") from error
    if what == "library":
        return json.loads("{no json}")
    if what == "recursion":
        return run(data)
    if what == "encode":
        return [0, {"score": Unencodable()}]
    raise {
        "value": ValueError("the password is swordfish"),
        "exit": SystemExit("bye"),
        "interrupt": KeyboardInterrupt(),
        "panic": Panic("native"),
        "mute": Mute(),
        "memory": MemoryError(),
        "stop": StopIteration(),
    }[what]
