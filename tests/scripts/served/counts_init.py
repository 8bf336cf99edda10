"""Writes a line for each init() and answers with its process and what it counted."""

import os
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
busy = 0
most = 0


def init():
    with (HERE / "init.log").open("a") as log:
        log.write(f"{os.getpid()}\n")


def run(data):
    global busy, most
    busy += 1
    most = max(most, busy)
    time.sleep(0.01)
    busy -= 1
    on_main_thread = threading.current_thread() is threading.main_thread()
    return {"pid": os.getpid(), "most": most, "main_thread": on_main_thread}
