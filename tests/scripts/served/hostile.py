"""Does to its process what no script should."""

import builtins
import json
import os
import signal
import socket
import sys


def init():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = None
    builtins.print = None
    socket.socket = None
    os.chdir("/")
    os.environ.clear()


def run(data):
    return json.loads(data)
