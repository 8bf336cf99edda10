"""The two signals by which the front reaches into a scoring process.

Real-time signals: scripts and their libraries use the named ones. The lower number is delivered
first, so that stacks are shown as they were before the interrupt.
"""

from __future__ import annotations

import os
import signal
from typing import Final

DUMP_SIGNAL: Final = signal.SIGRTMIN + 5
"""Write the stacks of all threads."""
DEBUG_SIGNAL: Final = signal.SIGRTMIN + 4
"""Open a debugger, where SCOREHOST_DEBUG_ON_DEMAND allows it."""
INTERRUPT_SIGNAL: Final = signal.SIGRTMIN + 6
"""Interrupt the request that the shared state names."""


def send_to_main_thread(process: int, number: int) -> None:
    """Send a signal to the thread that runs the script, and to no other of its process.

    Only a signal that arrives there ends the system call the script waits in. One for the whole
    process may go to any thread, and does while another one is pending (signal(7)).

    Raises
    ------
    ProcessLookupError
        It has ended.
    """
    import ctypes  # at the first deadline, not before

    libc = ctypes.CDLL(None, use_errno=True)
    try:
        tgkill = libc.tgkill
    except AttributeError:  # musl, or glibc before 2.30
        os.kill(process, number)
        return
    if tgkill(process, process, number):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
