"""Forks in run(); the child leaves in the way that is asked for."""

import json
import os
import sys
import time


def init():
    pass


def run(data):
    how = json.loads(data)
    if how is None:
        return {"pid": os.getpid()}
    child = os.fork()
    if child == 0:
        if how == "raise":
            raise ValueError("in the child")
        if how == "exit":
            sys.exit(0)
        if how == "return":
            return {"pid": "of the child"}
        time.sleep(60)
    if how != "stay":
        os.waitpid(child, 0)
    return {"pid": os.getpid()}
