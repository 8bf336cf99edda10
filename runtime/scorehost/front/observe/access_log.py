"""One line for each request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scorehost.front.exchange import Exchange
from scorehost.front.observe.log import Log
from scorehost.front.observe.observer import Observer
from scorehost.front.routes import PROBES

_LINE: Final = b"%b %b %d run=%.3fms total=%.3fms in=%d out=%d id=%b\n"
FLUSH_AFTER: Final = 0.05
"""Seconds a line may wait for company."""


class AccessLog(Observer):
    """Writes method, target's path, status, times, sizes and the request id.

    Parameters
    ----------
    log : where lines go.
    probes : whether probes and metrics are logged too.
    later : calls a function after some seconds.
    """

    def __init__(
        self, log: Log, *, probes: bool, later: Callable[[float, Callable[[], None]], object]
    ) -> None:
        self._log = log
        self._probes = probes
        self._later = later

    def finished(self, exchange: Exchange, now: float) -> None:
        """Log the line; the times are of ``run()``, of waiting for a worker, and in all."""
        if exchange.route in PROBES and not self._probes:
            return
        log = self._log
        if log.is_json:
            first = log.collect_fields(self._fields(exchange, now))
        else:
            first = log.collect(
                _LINE,
                (
                    exchange.method,
                    exchange.path,
                    exchange.status,
                    exchange.run_ns / 1e6 if exchange.run_ns > 0 else 0.0,
                    (now - exchange.arrived) * 1e3,
                    exchange.size,
                    exchange.sent,
                    exchange.request_id,
                ),
            )
        if first:
            self._later(FLUSH_AFTER, log.flush)

    @staticmethod
    def _fields(exchange: Exchange, now: float) -> dict[str, object]:
        fields = exchange.describe()
        fields["total_ms"] = round((now - exchange.arrived) * 1e3, 3)
        if exchange.reason:
            fields["reason"] = exchange.reason
        return fields
