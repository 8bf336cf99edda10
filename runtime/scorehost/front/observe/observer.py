"""What a feature beside the main path may see of it.

A feature overrides the hooks that it needs; the others cost nothing. An exception in a hook is
logged, and the request continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scorehost.front.http.exchange import Exchange
from scorehost.front.http.responses import Response


class Observer:
    """Every hook is called on the front's event loop and must return at once."""

    def script_failed(self, exchange: Exchange, detail: dict[str, Any]) -> None:
        """Runs when a worker has reported how the script failed, before the client is told."""

    def replying(self, exchange: Exchange, response: Response) -> None:
        """Runs when a whole response is about to be sent."""

    def streaming(self, exchange: Exchange, response: Response) -> None:
        """Runs when the head of a stream is about to be sent; ``response`` has no body."""

    def ending(self, exchange: Exchange) -> None:
        """Runs when an exchange is over, while its body is still there."""

    def finished(self, exchanges: Sequence[Exchange]) -> None:
        """Runs some milliseconds after exchanges have ended, in this order.

        Each was answered (``status``) or abandoned by its client (499). One call for each would
        cost twice as much.
        """

    def worker_ended(self, reason: str) -> None:
        """Runs when a scoring process has ended; ``reason`` is one of a small closed set."""

    def reloaded(self, succeeded: bool) -> None:
        """Runs when new workers have replaced the old ones, or have failed to."""
