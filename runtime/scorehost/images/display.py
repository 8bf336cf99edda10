"""What a person sees of a build: one line for each action.

On a terminal there is one more line, with a spinner, while an action is in progress.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.status import Status


class Display:
    """Plain lines, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def say(self, text: str) -> None:
        """Report a result."""
        print(text, file=self.stream, flush=True)

    def note(self, text: str) -> None:
        """Report something that may surprise the user."""
        self.say(f"  note: {text}")

    def doing(self, text: str) -> None:
        self.say(f"  {text}")

    def close(self) -> None:
        """End the display; no action is in progress any more."""


class TerminalDisplay(Display):
    """Lines with colours, and a spinner below them."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        super().__init__(stream)
        self._console = Console(file=stream, highlight=False)
        self._status: Status | None = None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        self._console.print(f"  note: {text}", style="yellow", markup=False, soft_wrap=True)

    def doing(self, text: str) -> None:
        from rich.markup import escape

        short = escape(text if len(text) < 90 else text[:89] + "…")
        if self._status is None:
            self._status = self._console.status(short)
            self._status.start()
        else:
            self._status.update(short)

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def make_display(stream: TextIO | None) -> Display:
    """The display that suits a stream; standard output by default."""
    stream = stream or sys.stdout
    return TerminalDisplay(stream) if stream.isatty() else Display(stream)
