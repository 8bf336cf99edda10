"""Logs at every level, with no set-up of its own."""

import json
import logging

logger = logging.getLogger("my.module")


def init():
    logger.debug("debug in init")
    logger.info("info in init")


def run(data):
    word = json.loads(data)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "%s %s", logging.getLevelName(level).lower(), word)
    return word
