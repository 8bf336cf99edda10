"""Answers with the environment variables and the paths that it sees."""

import os
import sys
from pathlib import Path


def init():
    pass


def run(data):
    return {
        "environment": dict(os.environ),
        "path": sys.path,
        "cwd": os.getcwd(),
        "pid": os.getpid(),
        "folder": str(Path(__file__).resolve().parent),
    }
