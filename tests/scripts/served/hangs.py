"""Does not come back in time: asleep, busy in Python, or busy in C."""

import itertools
import json
import os
import time

scored = 0


def init():
    pass


def run(data):
    global scored
    how = json.loads(data)
    if how == "sleep":
        time.sleep(60)
    elif how == "spin":
        while True:
            pass
    elif how == "c":
        sum(itertools.repeat(1, 20_000_000_000))
    elif how == "swallow":
        while True:
            try:
                time.sleep(60)
            except Exception:
                pass
    scored += 1
    return {"pid": os.getpid(), "scored": scored}
