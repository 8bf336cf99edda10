"""The scoring thread waits for batches; what the script started before is left alone."""

from __future__ import annotations

import os

import pytest

from support.server import StartServer

ASKS = """
import os, threading

asked, found = threading.Event(), {}

def ask():
    asked.wait()
    found["thread"] = os.sched_getscheduler(0)

thread = threading.Thread(target=ask, daemon=True)

def init():
    found["init"] = os.sched_getscheduler(0)
    LATE or thread.start()

def run(data):
    LATE and thread.start()
    asked.set()
    thread.join()
    return {**found, "run": os.sched_getscheduler(0)}
"""


@pytest.mark.parametrize("preload", ["false", "true"])
def test_the_scoring_thread_lets_batches_form(own_server: StartServer, preload: str) -> None:
    """With preload a thread can only be started after the fork."""
    source = ASKS.replace("LATE", str(preload == "true"))
    server = own_server(files={"main.py": source}, settings={"WORKER_PRELOAD": preload})

    found = server.post(body=b"{}").json()

    assert found["init"] == os.SCHED_OTHER
    assert found["run"] == os.SCHED_BATCH
    assert found["thread"] == (os.SCHED_BATCH if preload == "true" else os.SCHED_OTHER)
