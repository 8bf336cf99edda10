"""How the front reaches into a worker: to interrupt a request, or to see where its threads are.

An interrupt raises only while the request it names is in the script's hands; a request that
ended in the meantime, and the one after it, are never affected. What it cannot do: leave a call
of native code that does not return to Python. The front kills a worker that stays in one.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from functools import partial
from types import FrameType
from typing import Final

from scorehost.scoring.interrupted import Interrupted
from scorehost.wire.shared import SharedState
from scorehost.wire.signals import DUMP_SIGNAL, INTERRUPT_SIGNAL

ENDS: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that a service manager or a terminal may send to every process of a server at once. The
front alone decides when a worker ends: what it was given is answered first."""


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
        # faulthandler has system calls restarted, even those that the interrupt is to end: with
        # both signals pending, the first to be handled decides (signal(7)).
        signal.siginterrupt(DUMP_SIGNAL, True)
        signal.signal(INTERRUPT_SIGNAL, self._interrupt)
        for number in ENDS:
            signal.signal(number, leave_it_to_the_front)
        # A signal that reaches the child of a fork early would meet our handler there.
        hold_back = partial(signal.pthread_sigmask, signal.SIG_BLOCK, ENDS)
        os.register_at_fork(before=hold_back, after_in_parent=let_pass, after_in_child=give_back)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self.interruptible and self.interruptible == self._shared.victim:
            self.interruptible = 0
            raise Interrupted


def leave_it_to_the_front(_signal: int, _frame: FrameType | None) -> None:
    """Do nothing. Not ``SIG_IGN``: programs that the script starts would inherit that."""


def let_pass() -> None:
    """Let the signals through again after the fork."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)


def give_back() -> None:
    """Have a process that the script has forked end by these signals like any other."""
    for number in ENDS:
        if signal.getsignal(number) is leave_it_to_the_front:
            own = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, own)
    let_pass()
