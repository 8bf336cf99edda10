"""init() waits until it may go on."""

import time
from pathlib import Path

HERE = Path(__file__).parent


def init():
    print("loading the model", flush=True)
    (HERE / "init.begun").touch()
    while not (HERE / "init.go").exists():
        time.sleep(0.005)


def run(data):
    return "scored"
