"""What a ``logging.json`` names that was written for the retired server.

``logging.config`` imports both by name: the formatter under ``class``, the filter under ``()``.
"""

from __future__ import annotations

import logging
import time
from typing import Final, Literal

_LINE: Final = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"
_PROBE: Final = "GET / HTTP/1.1"


class AMLLogFormatter(logging.Formatter):
    """Writes a record as that server does, its time in UTC."""

    def __init__(
        self,
        fmt: str | None = _LINE,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
    ) -> None:
        super().__init__(fmt, datefmt, style)
        self.converter = time.gmtime


class RootAccessFilter(logging.Filter):
    """Lets everything pass but the access line of a probe."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be logged."""
        return _PROBE not in record.getMessage()


for _class in (AMLLogFormatter, RootAccessFilter):
    _class.__module__ = "azureml_inference_server_http.log_config"
