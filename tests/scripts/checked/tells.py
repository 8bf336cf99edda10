"""Says where it is, on every stream."""

import os
import sys

print("importing")


def init():
    print("in init")
    print("in init, on stderr", file=sys.stderr)
    os.write(1, b"in init, from below\n")


def run(data):
    print("in run, without a line's end", end="")
    return {"got": data, "stdin": sys.stdin.read()}
