"""How a script's loggers behave before the script sets up its own.

No handler is installed on the root logger: one there would turn the script's own
``logging.basicConfig`` into a call that does nothing. Instead Python's handler of last resort is
replaced, which steps back by itself as soon as the script configures logging. A mere
``logging.info()`` does not count as that, although Python then configures the root logger.
"""

from __future__ import annotations

import functools
import json
import logging
from pathlib import Path
from typing import Any

from scorehost.errors import ScriptImportFailed
from scorehost.worker.output import RecordHandler


def set_up_logging(level: str, app_root: Path, script: Path) -> None:
    """Make the level take effect, then apply the app's ``logging.json`` if it has one.

    Parameters
    ----------
    level : lowest level of the root logger.
    app_root : folder that may hold ``logging.json``, in the form of ``logging.config.dictConfig``.
    script : the entry script; its folder may hold that file too.

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
    _keep_last_resort()
    for folder in (app_root, script.resolve().parent):
        file = folder / "logging.json"
        if file.is_file():
            apply_logging_file(file)
            return


def _keep_last_resort() -> None:
    """Have ``basicConfig`` without arguments, which ``logging.info()`` calls, keep our handler.

    Its own handler would write plain text, without the level and the name of the logger.
    """
    usual = logging.basicConfig

    @functools.wraps(usual)
    def basic_config(**options: Any) -> None:
        handler, root = logging.lastResort, logging.getLogger()
        if options or handler is None or root.handlers:
            usual(**options)
        else:
            root.addHandler(handler)

    logging.basicConfig = basic_config


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
            f"{file} cannot be applied: {error}. It must hold one JSON object in the form that "
            'Python\'s logging.config.dictConfig takes, with "version": 1.'
        ) from error
