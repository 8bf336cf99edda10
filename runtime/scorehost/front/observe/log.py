"""The server's log: one event after the other, as text or JSON.

What events tell comes from clients and scripts too. Here, where it is written, it is made harmless,
and here alone: escape sequences and the like are shown instead of obeyed, and no line of a message
can be taken for the beginning of another event.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any, Final

import orjson

from scorehost.escaping import MISLEADING, harmless, harmless_json
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

_NOT_IN_A_WORD: Final = re.compile(rf"[\t\n \xa0{MISLEADING}]")
_NEXT_LINE: Final = re.compile(r"\n(?=.)")
_NEXT_LINE_LIKE_OURS: Final = re.compile(r"\n(?=[^\w\n]*\d)")
"""Readers of the other server's log know tracebacks as they are. Only what may look like the time
at the beginning of an event is indented there, whatever cannot be seen stands before it."""


def as_word(text: str) -> bytes:
    """Return text from elsewhere as one word of UTF-8, so that it can't add words to a line."""
    return _NOT_IN_A_WORD.sub(_in_a_word, text).encode()


def _in_a_word(found: re.Match[str]) -> str:
    char = found[0]
    return f"%{ord(char):02X}" if char <= "\xff" else harmless(char)


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
        writer.dropped = self._dropped
        number = logging.getLevelName(level)
        self._level = number if isinstance(number, int) else logging.INFO
        self.is_json = form == "json"
        self._drop_in = style == "azmlinfsrv"
        self._next_line = _NEXT_LINE_LIKE_OURS if self._drop_in else _NEXT_LINE
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
        """Write text without a prefix: a report, each line of which has a frame of its own."""
        self._catch_up()
        self._writer.write(harmless(text).encode() + b"\n")

    def _catch_up(self) -> None:
        if self.before_event is not None:
            self.before_event()

    def _dropped(self, count: int) -> bytes:
        """Make the line that tells that others were dropped; called in the writer's thread."""
        text = f"{count} lines of the log were dropped, because nobody read it"
        return self._line(logging.WARNING, SERVER, text, "", 0, {"dropped": count})

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
        text = self._next_line.sub("\n  ", harmless(message)).encode()
        if self._drop_in:
            logger = _DROP_IN_NAMES.get(logger, logger.removeprefix(SCRIPT + "."))
            return b"%b %b [%d] %b - %b\n" % (
                stamp, name[:1].encode(), pid or self._pid, as_word(logger), text,
            )  # fmt: skip
        whose = b" [%b]" % as_word(request_id) if request_id else b""
        return b"%b %-5b %b%b: %b\n" % (
            stamp, _SHORT.get(name, name).encode(), as_word(logger), whose, text,
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
        return _encode(document) + b"\n"


def _encode(document: dict[str, Any]) -> bytes:
    try:
        data = orjson.dumps(document, default=str)
    except TypeError:  # of its members, those that JSON can't hold become text
        data = orjson.dumps({name: _encodable(value) for name, value in document.items()})
    return harmless_json(data.decode()).encode()


def _encodable(value: object) -> object:
    with contextlib.suppress(TypeError):
        return orjson.loads(orjson.dumps(value, default=str))
    with contextlib.suppress(Exception):  # a number of very many digits, a __str__ of the script's
        return harmless(str(value))
    return f"({type(value).__name__})"


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
