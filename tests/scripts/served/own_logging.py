"""Sets logging up itself, as many scripts do."""

import json
import logging

logging.basicConfig(level=logging.DEBUG, format="MINE|%(levelname)s|%(message)s")
logger = logging.getLogger("my.module")


def init():
    pass


def run(data):
    logger.debug("said %s", json.loads(data))
    return "ok"
