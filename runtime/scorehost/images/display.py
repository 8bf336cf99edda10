"""What a person sees of a build: a line for each thing that is done.

On a terminal one line more, which moves while something is being done.
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
        """One thing that is done or known."""
        print(text, file=self.stream, flush=True)

    def note(self, text: str) -> None:
        """Something that may surprise."""
        self.say(f"  note: {text}")

    def doing(self, text: str) -> None:
        self.say(f"  {text}")

    def close(self) -> None:
        """Nothing goes on any more."""


class TerminalDisplay(Display):
    """With a line that moves."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        super().__init__(stream)
        self._console = Console(file=stream, highlight=False)
        self._status: Status | None = None

    def say(self, text: str) -> None:
        """One thing that is done or known, above the moving line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Something that may surprise."""
        self._console.print(f"  note: {text}", style="yellow", markup=False, soft_wrap=True)

    def doing(self, text: str) -> None:
        """What is going on now, in the moving line."""
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
    """The one that suits a stream."""
    stream = stream or sys.stdout
    return TerminalDisplay(stream) if stream.isatty() else Display(stream)
