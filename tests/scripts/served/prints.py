"""Writes to its outputs by every way there is."""

import ctypes
import json
import os
import sys

print("printed at import")


def init():
    print("printed in init")


def run(data):
    word = json.loads(data)
    print(f"printed {word}")
    print(f"stderr {word}", file=sys.stderr)
    sys.stdout.write(f"written {word}\n")
    os.write(1, f"raw {word}\n".encode())
    ctypes.CDLL(None).puts(f"from C {word}".encode())
    print("half", end="")
    print(f" and half {word}")
    return word
