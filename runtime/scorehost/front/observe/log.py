"""The server's log: one line for each event, as text or JSON."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any, Final

import orjson

from scorehost.front.observe.writer import LogWriter

SERVER: Final = "scorehost"
SCRIPT: Final = "scorehost.script"
PRINT: Final = "scorehost.print"
ACCESS: Final = "scorehost.access"

_DROP_IN_NAMES: Final = {
    SERVER: "azmlinfsrv",
    SCRIPT: "azmlinfsrv.user_script",
    PRINT: "azmlinfsrv.print",
    ACCESS: "azmlinfsrv.access",
}

_NOT_IN_A_WORD: Final = re.compile(r"[\x00-\x20\x7f-\x9f]")


def as_word(text: str) -> bytes:
    """Return what a client sent as one word of UTF-8, so that it can't add words to a log line."""
    return _NOT_IN_A_WORD.sub(lambda found: f"%{ord(found[0]):02X}", text).encode()


class Log:
    """Formats events and hands them to the writer.

    Parameters
    ----------
    writer : where lines go.
    level : lowest level that is logged, by name.
    form : "text" or "json".
    style : "own", or "azmlinfsrv" for that server's line format.

    Attributes
    ----------
    before_event : called before each event, so that whoever collects lines can write them first.
    is_json : whether lines are JSON.
    access_prefix : the text between the time and the rest of an access line.
    """

    def __init__(self, writer: LogWriter, level: str, form: str, style: str) -> None:
        self._writer = writer
        number = logging.getLevelName(level)
        self._level = number if isinstance(number, int) else logging.INFO
        self.is_json = form == "json"
        self._drop_in = style == "azmlinfsrv"
        self._pid = os.getpid()
        self.before_event: Callable[[], None] | None = None
        self.access_prefix = (
            b" I [%d] %b - " % (self._pid, _DROP_IN_NAMES[ACCESS].encode())
            if self._drop_in
            else b" INFO  %b: " % ACCESS.encode()
        )

    def enabled(self, level: int) -> bool:
        """Whether this level is logged."""
        return level >= self._level

    # -- events -------------------------------------------------------------------------------

    def debug(self, message: str, **fields: Any) -> None:
        self.event(logging.DEBUG, SERVER, message, **fields)

    def info(self, message: str, **fields: Any) -> None:
        self.event(logging.INFO, SERVER, message, **fields)

    def warning(self, message: str, **fields: Any) -> None:
        self.event(logging.WARNING, SERVER, message, **fields)

    def error(self, message: str, **fields: Any) -> None:
        self.event(logging.ERROR, SERVER, message, **fields)

    def event(
        self,
        level: int,
        logger: str,
        message: str,
        *,
        request_id: str = "",
        pid: int = 0,
        always: bool = False,
        **fields: Any,
    ) -> None:
        """Log one event.

        Parameters
        ----------
        level : number of the level.
        logger : name of the logger.
        message : the text, of one or more lines.
        request_id : the request that the event belongs to.
        pid : the process that the event comes from, when not the front.
        always : log it whatever the level is (as for what a script prints).
        fields : further members of the JSON form.
        """
        if level < self._level and not always:
            return
        self._catch_up()
        self._writer.write(self._line(level, logger, message, request_id, pid, fields))

    def raw(self, text: str) -> None:
        """Write text without a prefix, such as a framed report."""
        self._catch_up()
        self._writer.write(text.encode("utf-8", "replace") + b"\n")

    def _catch_up(self) -> None:
        if self.before_event is not None:
            self.before_event()

    # -- the access log -----------------------------------------------------------------------

    def lines(self, data: bytes) -> None:
        """Write complete lines."""
        self._writer.write(data)

    def access_record(self, when: float, fields: dict[str, Any]) -> bytes:
        """Make an access line in JSON; ``when`` is in seconds since 1970."""
        request_id = str(fields.pop("request_id", ""))
        return self._json_line(when, "INFO", ACCESS, "", request_id, 0, fields)

    @staticmethod
    def second(second: int) -> bytes:
        """The time at the beginning of a line, without fractions of the second."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second)).encode()

    # -- lines --------------------------------------------------------------------------------

    def _line(
        self,
        level: int,
        logger: str,
        message: str,
        request_id: str,
        pid: int,
        fields: dict[str, Any],
    ) -> bytes:
        name = logging.getLevelName(level)
        now = time.time()
        if self.is_json:
            return self._json_line(now, name, logger, message, request_id, pid, fields)
        stamp = b"%b,%03d" % (self.second(int(now)), now % 1 * 1000)
        text = message.encode("utf-8", "backslashreplace")
        if self._drop_in:
            logger = _DROP_IN_NAMES.get(logger, logger.removeprefix(SCRIPT + "."))
            return b"%b %b [%d] %b - %b\n" % (
                stamp, name[:1].encode(), pid or self._pid, logger.encode(), text,
            )  # fmt: skip
        whose = b" [%b]" % as_word(request_id) if request_id else b""
        return b"%b %-5b %b%b: %b\n" % (
            stamp, _SHORT.get(name, name).encode(), logger.encode(), whose, text,
        )  # fmt: skip

    def _json_line(
        self,
        now: float,
        name: str,
        logger: str,
        message: str,
        request_id: str,
        pid: int,
        fields: dict[str, Any],
    ) -> bytes:
        document: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
            + f".{int(now % 1 * 1000):03d}Z",
            "level": name,
            "logger": logger,
        }
        if message:
            document["message"] = message
        if request_id:
            document["request_id"] = request_id
        document["pid"] = pid or self._pid
        document.update(fields)
        return orjson.dumps(document, default=str) + b"\n"


_SHORT: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}


class LogBridge(logging.Handler):
    """Passes on what the front's libraries log (gunicorn, asyncio) to our log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.event(record.levelno, record.name, self.format(record))
        except Exception:
            self.handleError(record)
