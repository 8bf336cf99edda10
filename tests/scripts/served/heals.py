"""init() fails while a file named `broken` lies beside the script."""

import os
from pathlib import Path

HERE = Path(__file__).parent


def init():
    with (HERE / "init.log").open("a") as log:
        log.write(".")
    if (HERE / "broken").exists():
        raise RuntimeError("broken for now")


def run(data):
    return {"pid": os.getpid()}
