"""What a feature beside the main path may see.

Metrics and the access log are observers. An observer never changes an answer and never
decides; one that raises is logged, and the request goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from scorehost.front.http.exchange import Exchange


class Observer:
    """Every method is called on the front's event loop and must return at once."""

    def finished(self, exchanges: Sequence[Exchange]) -> None:
        """These are over, in this order: answered (``status``), or left by the client (499).

        They come a few milliseconds later and together: one by one they would cost twice as much.
        """

    def worker_ended(self, reason: str) -> None:
        """A scoring process has ended; ``reason`` is one of a small closed set."""

    def reloaded(self, succeeded: bool) -> None:
        """New workers have taken the place of old ones, or failed to."""
