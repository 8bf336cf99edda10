"""The scoring process's end of the connection to the front."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from typing import Final

from scorehost.wire.requests import RequestReader
from scorehost.wire.shared import SharedState

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


class Channel:
    """A worker's sockets, shared state and file for stacks."""

    def __init__(self, requests: int, answers: int, shared: int, stacks: int) -> None:
        self.requests = socket.socket(fileno=requests)
        self.answers = socket.socket(fileno=answers)
        for sock in (self.requests, self.answers):
            sock.setblocking(True)
            os.set_inheritable(sock.fileno(), False)
        os.set_inheritable(stacks, False)
        self.reader = RequestReader(self.requests)
        self.shared = SharedState(shared)
        os.close(shared)
        self.stacks = stacks

    def send(self, frame: bytes) -> None:
        sent = self.answers.send(frame)
        if sent != len(frame):
            self.answers.sendall(memoryview(frame)[sent:])


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os.kill(os.getpid(), signal.SIGKILL)
