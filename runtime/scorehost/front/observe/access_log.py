"""The access log: one line for each request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from scorehost.front.http.exchange import Exchange
from scorehost.front.observe.log import Log
from scorehost.front.observe.observer import Observer

_LINE: Final = b"%b,%03d%b%b %b %d run=%.3fms total=%.3fms in=%d out=%d id=%b\n"
_NOT_RETURNED: Final = _LINE.replace(b"%.3fms total", b"%b total")
_NONE: Final = b"-"


class AccessLog(Observer):
    """Writes method, path, status, times, sizes and the request id.

    Parameters
    ----------
    log : where lines go.
    probes : whether quiet routes (probes and metrics) are logged too.
    """

    def __init__(self, log: Log, *, probes: bool) -> None:
        self._log = log
        self._logs_all = probes

    def finished(self, exchanges: Sequence[Exchange]) -> None:
        """Log the lines; the times are those in ``run()`` and in total."""
        if self._logs_all:
            wanted = exchanges
        else:
            wanted = [each for each in exchanges if not each.route.is_quiet]
        if not wanted:
            return
        offset = time.time() - time.monotonic()
        make = self._records if self._log.is_json else self._lines
        self._log.lines(b"".join(make(wanted, offset)))

    def _lines(self, exchanges: Sequence[Exchange], offset: float) -> list[bytes]:
        log, lines = self._log, []
        prefix, last, text = log.access_prefix, 0, b""
        for exchange in exchanges:
            ended, run_ns = exchange.ended, exchange.run_ns
            when = ended + offset
            second = int(when)
            if second != last:
                last, text = second, log.second(second)
            parts = (
                text,
                (when - second) * 1000,
                prefix,
                exchange.method,
                exchange.path,
                exchange.status,
                run_ns * 1e-6,
                (ended - exchange.arrived) * 1e3,
                exchange.size,
                exchange.sent,
                exchange.logged_id or exchange.request_id,
            )
            lines.append(_LINE % parts if run_ns > 0 else _NOT_RETURNED % _without_gaps(parts))
        return lines

    def _records(self, exchanges: Sequence[Exchange], offset: float) -> list[bytes]:
        return [self._log.access_record(each.ended + offset, _fields(each)) for each in exchanges]


def _without_gaps(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Put a word where nothing is known: a client may have left before its request was whole."""
    when, ms, prefix, method, path, status, _run, *rest, request_id = parts
    known = method or _NONE, path or _NONE, status, _NONE, *rest, request_id or _NONE
    return when, ms, prefix, *known


def _fields(exchange: Exchange) -> dict[str, object]:
    fields = exchange.describe()
    fields["total_ms"] = round((exchange.ended - exchange.arrived) * 1e3, 3)
    if exchange.reason:
        fields["reason"] = exchange.reason
    return fields
