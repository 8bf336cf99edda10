"""Streams what it is asked to."""

import json

closed = []


def init():
    pass


def run(data):
    closed.clear()
    return items(json.loads(data))


def items(steps):
    try:
        for step in steps:
            if step == "raise":
                raise ValueError("in the stream")
            if step == "exit":
                raise SystemExit(3)
            if step == "bytes":
                yield b"\x00\xff"
            elif step == "bytearray":
                yield bytearray(b"ba")
            elif step == "object":
                yield [object()]
            elif step == "surrogate":
                yield "\ud800"
            else:
                yield step
    finally:
        closed.append(True)
