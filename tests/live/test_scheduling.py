"""The scoring thread waits for batches; nothing that the script starts inherits that."""

from __future__ import annotations

import os

import pytest

from support.server import StartServer

ASKS = """
import os, subprocess, sys, threading

def policy():
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK

def init(): pass

def run(data):
    found = {"run": policy()}
    thread = threading.Thread(target=lambda: found.update(thread=policy()))
    thread.start(); thread.join()
    code = "import os; print(os.sched_getscheduler(0))"
    found["process"] = int(subprocess.check_output([sys.executable, "-c", code]))
    return found
"""


@pytest.mark.parametrize("preload", ["false", "true"])
def test_only_the_scoring_thread_forms_batches(own_server: StartServer, preload: str) -> None:
    server = own_server(files={"main.py": ASKS}, settings={"WORKER_PRELOAD": preload})

    found = server.post(body=b"{}").json()

    assert found == {"run": os.SCHED_BATCH, "thread": os.SCHED_OTHER, "process": os.SCHED_OTHER}
