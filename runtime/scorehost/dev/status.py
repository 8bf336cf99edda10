"""What a server that is being worked on says of itself besides."""

from __future__ import annotations

from typing import Any

from scorehost.dev.relay import Relay
from scorehost.front.status import Status


class DevelopmentStatus(Status):
    """What the server says of itself, and of its debugger and last report."""

    relay: Relay | None = None
    shows_reports = False

    def doing(self) -> str:
        """A script at a breakpoint does nothing else."""
        return "paused in the debugger" if self._paused() else super().doing()

    def document(self) -> dict[str, Any]:
        """As in production, with the debugger and the whole last report."""
        document = super().document()
        if self.relay is not None and self.relay.listening:
            document["debugger"] = {
                "port": self.relay.port,
                "attached": self.relay.attached,
                "paused": self.relay.paused,
            }
        if self.shows_reports and self._pool.last_failure is not None:
            document["last_failure"]["report"] = self.report()
        return document

    def report(self) -> str:
        """The last failed start or reload, framed."""
        if self._pool.last_failure is None:
            return ""
        from scorehost.diagnosis.report import Report

        return Report.from_dict(self._pool.last_failure).text()

    def _paused(self) -> bool:
        return self.relay is not None and self.relay.paused
