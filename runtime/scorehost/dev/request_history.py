"""The last requests: kept in memory for the debug page, and on disk when they are recorded."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from scorehost.backoff import Backoff
from scorehost.dev.recording import (
    FORMAT,
    Recorder,
    as_value,
    masked_headers,
    masked_target,
    outcome_of,
    script_name,
)
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.responses import Response
from scorehost.front.observe.log import Log
from scorehost.front.observe.observer import Observer
from scorehost.front.replies import CLIENT_LEFT
from scorehost.interpreter import interpreter_of
from scorehost.settings import Settings

SHOWN: Final = 100
"""The most requests on the debug page."""
LARGEST_SHOWN: Final = 1 << 20
"""Bytes of a body that is kept in memory; of a larger one only its size is kept."""


class RequestHistory(Observer):
    """Collects what is known of a request, and keeps it when the request is over.

    Parameters
    ----------
    settings : which are kept, where, how many.
    log : is told once when the folder cannot be written, and once when it can be again.

    Attributes
    ----------
    last : the newest requests, for the debug page.
    """

    def __init__(self, settings: Settings, log: Log) -> None:
        self._which = settings.recorded
        self._shows = settings.debug
        self._script = script_name(settings)
        self._python = interpreter_of(settings).version_text
        self._log = log
        self._responses: dict[Exchange, Response] = {}
        self._details: dict[Exchange, dict[str, Any]] = {}
        self._streams: set[Exchange] = set()
        self._number = 0
        self._largest = max(LARGEST_SHOWN, settings.record_bytes // 4)
        self.last: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self._writer: ThreadPoolExecutor | None = None
        if self._which != "off":
            place = settings.record_place
            recorder = Recorder(place, settings.record_count, settings.record_bytes)
            self._recording = Recording(recorder, place, log)
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="scorehost-recorder")
            what = "failed requests" if self._which == "errors" else "every request"
            log.warning(f"recording {what}, including bodies, in {place}")

    def script_failed(self, exchange: Exchange, detail: dict[str, Any]) -> None:
        self._details[exchange] = detail

    def replying(self, exchange: Exchange, response: Response) -> None:
        if exchange.route.protocol:
            self._responses[exchange] = response

    def streaming(self, exchange: Exchange, response: Response) -> None:
        self.replying(exchange, response)
        self._streams.add(exchange)

    def ending(self, exchange: Exchange) -> None:
        """Keep the request, if it is one to keep; its body is released after this."""
        response = self._responses.pop(exchange, Response(exchange.status, b"", ""))
        detail = self._details.pop(exchange, {})
        streamed = exchange in self._streams
        self._streams.discard(exchange)
        if not exchange.route.protocol:
            return
        # A request that no worker began (refused, or its client left) says nothing of the script.
        begun = exchange.begun > 0 and exchange.status != CLIENT_LEFT
        wanted = self._which == "all" or (self._which == "errors" and exchange.status >= 400)
        record = begun and wanted and exchange.size <= self._largest
        if not record and not self._shows:
            return
        document = self._document(exchange, response, detail, streamed=streamed)
        if self._shows:
            left_out = {"body": "", "left_out": exchange.size}
            self.last.append(document | left_out if exchange.size > LARGEST_SHOWN else document)
        if record and self._writer is not None:
            self._writer.submit(self._recording.keep, document)

    def _document(
        self, exchange: Exchange, response: Response, detail: dict[str, Any], *, streamed: bool
    ) -> dict[str, Any]:
        self._number += 1
        return {
            "format": FORMAT,
            "number": self._number,
            "id": exchange.request_id.decode("latin-1"),
            "time": time.time(),
            "script": self._script,
            "python": self._python,
            "method": exchange.method.decode("latin-1"),
            "target": masked_target(exchange.target.decode("latin-1")),
            "headers": masked_headers(exchange.text_headers()),
            "body": as_value(_body(exchange)) if exchange.size <= self._largest else "",
            "remote_address": exchange.connection.address,
            "run_ms": round(exchange.run_ns / 1e6, 3) if exchange.run_ns >= 0 else None,
            "total_ms": round((time.monotonic() - exchange.arrived) * 1e3, 3),
            "streamed": streamed,
            "outcome": outcome_of(
                exchange.status, response.content_type, response.body, exchange.reason
            ),
            "error": detail,
            "replay_of": getattr(exchange.connection, "replay_of", None),
        }

    def find(self, number: int) -> dict[str, Any] | None:
        return next((each for each in self.last if each["number"] == number), None)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.shutdown(wait=True)


class Recording:
    """Keeps requests while the disk lets it, and goes on when it lets it again.

    Parameters
    ----------
    recorder : writes them.
    place : its folder.
    log : receives a line when recording stops, and one when it goes on.
    """

    def __init__(self, recorder: Recorder, place: Path, log: Log) -> None:
        self._recorder, self._place, self._log = recorder, place, log
        self._backoff = Backoff()
        self._next_attempt = 0.0
        self._missed = 0

    def keep(self, document: Mapping[str, Any]) -> None:
        """Keep one request, or count it as missed."""
        now = time.monotonic()
        if self._missed and now < self._next_attempt:
            self._missed += 1
            return
        try:
            self._recorder.keep(document)
        except OSError as error:
            if not self._missed:
                problem = f"requests cannot be recorded in {self._place}: {error.strerror or error}"
                self._log.error(
                    f"{problem}. They are still answered, and recording resumes once this is fixed."
                )
            self._missed += 1
            self._next_attempt = now + self._backoff.after_end(now)
            return
        if self._missed:
            self._log.warning(
                f"requests are recorded again; {self._missed} in the meantime were not recorded"
            )
            self._missed = 0


def _body(exchange: Exchange) -> bytes:
    if exchange.body_file < 0:
        return exchange.body
    return os.pread(exchange.body_file, exchange.size, 0)
