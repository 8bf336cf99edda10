"""What the log, clients and the cluster are told when scoring processes fail or reload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from scorehost.errors import WorkerLost
from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.log import Log
from scorehost.front.observe.observers import Observers
from scorehost.front.replies import Replies
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.status import FAILED, Status
from scorehost.front.workers.termination_message import TerminationMessage
from scorehost.settings import Settings

NEVER_READY: Final = 3
"""The server's exit status when the entry script fails to start."""


class Supervision:
    """Listens to the pool, and reports.

    Parameters
    ----------
    message : the container's termination message.
    observers : count ends and reloads.
    stop : ends the server with an exit status.

    Attributes
    ----------
    final_report : why the script failed to start, when that stops the server.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        message: TerminationMessage,
        observers: Observers,
        replies: Replies,
        dispatcher: Dispatcher,
        status: Status,
        stop: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._log = log
        self._message = message
        self._observers = observers
        self._replies = replies
        self._dispatcher = dispatcher
        self._status = status
        self._stop = stop
        self.final_report: dict[str, Any] | None = None

    def start_failed(self, report: dict[str, Any]) -> None:
        """Hold or stop the server, as set: the script failed before any worker could score."""
        settings = self._settings
        if settings.reload:
            self.log_report(report)
            self._log.warning("nothing can be scored until the script is fixed and saved")
        elif settings.on_init_failure == "hold":
            self.log_report(report)
            why = "as configured (SCOREHOST_ON_INIT_FAILURE=hold)"
            self._log.warning(f"the server stays up, live but not ready, {why}")
        else:
            self.final_report = report
            self._stop(NEVER_READY)

    def log_report(self, document: dict[str, Any]) -> None:
        """Log the whole framed report; put its short form where Kubernetes looks."""
        from scorehost.diagnosis.report import Report

        report = Report.from_dict(document)
        text = report.text(ascii_only=True)  # logs pass through many hands
        self._message.died(report.termination_message())
        if self._log.is_json:
            self._log.error(text, report=document, always=True)
        else:
            self._log.raw(text)

    def lost(self, exchange: Exchange) -> None:
        """Answer a request whose process ended while handling it, telling nothing of the script."""
        text = "The scoring process ended while handling this request."
        self._replies.fail(exchange, WorkerLost(f"{text} Check the logs for more info."))

    def nobody_serves(self) -> None:
        """Refuse the queue: no worker can score, and the last attempt to start one failed."""
        self._dispatcher.refuse_all(self._status.refusal())

    def worker_ended(self, reason: str, text: str) -> None:
        """Count a process that ended unasked; put the reason where Kubernetes looks."""
        if self._status.state != FAILED:  # otherwise the report on that is the message
            self._message.died(text)
        if self._observers.worker_ended is not None:
            self._observers.worker_ended(reason)

    def reloaded(self, succeeded: bool) -> None:
        if self._observers.reloaded is not None:
            self._observers.reloaded(succeeded)
