"""The two signals by which the front reaches into a scoring process.

Real-time signals: scripts and their libraries use the named ones. The lower number is delivered
first, so that stacks are shown as they were before the interrupt.
"""

from __future__ import annotations

import signal
from typing import Final

DUMP_SIGNAL: Final = signal.SIGRTMIN + 5
"""Write the stacks of all threads."""
DEBUG_SIGNAL: Final = signal.SIGRTMIN + 4
"""Open a debugger, where SCOREHOST_DEBUG_ON_DEMAND allows it."""
INTERRUPT_SIGNAL: Final = signal.SIGRTMIN + 6
"""Raise in the request that the shared state names."""
