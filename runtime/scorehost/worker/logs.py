"""How a script's loggers behave before the script sets up its own.

No handler is installed on the root logger: one there would turn the script's own
``logging.basicConfig`` into a call that does nothing. Instead Python's handler of last resort is
replaced, which steps back by itself as soon as the script configures logging.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from scorehost.errors import ScriptImportFailed
from scorehost.worker.output import RecordHandler


def set_up_logging(level: str, app_root: Path) -> None:
    """Make the level take effect, then apply the app's ``logging.json`` if it has one.

    Parameters
    ----------
    level : lowest level of the root logger.
    app_root : folder that may hold ``logging.json``, in the form of ``logging.config.dictConfig``.

    Raises
    ------
    ScriptImportFailed
        ``logging.json`` is there but cannot be applied.
    """
    handler = RecordHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.lastResort = handler
    logging.getLogger().setLevel(level)
    logging.captureWarnings(False)
    file = app_root / "logging.json"
    if file.is_file():
        apply_logging_file(file)


def apply_logging_file(file: Path) -> None:
    """Configure logging from a JSON file.

    Raises
    ------
    ScriptImportFailed
        The file is not JSON, or not a configuration.
    """
    from logging.config import dictConfig  # a twentieth of a worker's imports, and rarely needed

    try:
        dictConfig(json.loads(file.read_text("utf-8")))
    except Exception as error:
        raise ScriptImportFailed(
            f"{file} cannot be applied: {error}. It takes one JSON object in the form of "
            'Python\'s logging.config.dictConfig, with "version": 1.'
        ) from error
