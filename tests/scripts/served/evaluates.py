"""Returns the value of a Python expression, or runs a few lines that set `result`."""

import json
import logging
import os
import sys
import threading

logger = logging.getLogger("my.module")


def init():
    pass


def run(data):
    source = json.loads(data)
    names = {"os": os, "sys": sys, "threading": threading, "logging": logging, "logger": logger}
    try:
        code = compile(source, "<sent>", "eval")
    except SyntaxError:
        exec(source, names)
        return names["result"]
    return eval(code, names)
