"""How the front reaches into a worker: end this request, or show where you are.

An interrupt raises only while the request it names is in the script's hands; a request that
ended in the meantime, and the one after it, never feel it. What it cannot do: leave a call of
native code that does not return to Python. The front kills a worker that stays in one.
"""

from __future__ import annotations

import faulthandler
import signal
from types import FrameType

from scorehost.scoring.invocation import Interrupted
from scorehost.worker.frames import SharedState
from scorehost.worker.signals import DUMP_SIGNAL, INTERRUPT_SIGNAL


class Interrupts:
    """Raises :class:`Interrupted` in the script when the front asks for it.

    Parameters
    ----------
    shared : names the request that is to be interrupted.
    stacks : descriptor of the file that takes stacks, on request and at a crash.
    """

    def __init__(self, shared: SharedState, stacks: int) -> None:
        self._shared = shared
        self._stacks = stacks
        self.interruptible = 0
        """Number of the request that is in the script's hands; 0: none."""

    def install(self) -> None:
        """Listen for both signals and for crashes."""
        faulthandler.enable(self._stacks, all_threads=True)
        faulthandler.register(DUMP_SIGNAL, self._stacks, all_threads=True, chain=False)
        signal.signal(INTERRUPT_SIGNAL, self._interrupt)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self.interruptible and self.interruptible == self._shared.victim:
            self.interruptible = 0
            raise Interrupted
