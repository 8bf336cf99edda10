"""Errors of Python itself: exits, warnings, recursion, missing names and values."""

from __future__ import annotations

import builtins
import os
import re
from typing import Final

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.installed import version_of
from scorehost.names import nearest

_USUAL_IMPORTS: Final[dict[str, str]] = {
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "tf": "import tensorflow as tf",
    "nn": "from torch import nn",
    "F": "import torch.nn.functional as F",
    "joblib": "import joblib",
    "json": "import json",
    "os": "import os",
    "sys": "import sys",
    "pickle": "import pickle",
    "logging": "import logging",
    "torch": "import torch",
    "xgb": "import xgboost as xgb",
    "lgb": "import lightgbm as lgb",
    "cv2": "import cv2",
    "Image": "from PIL import Image",
    "Path": "from pathlib import Path",
    "Model": "from azureml.core.model import Model",
    "rawhttp": "from azureml.contrib.services.aml_request import rawhttp",
    "AMLRequest": "from azureml.contrib.services.aml_request import AMLRequest",
    "AMLResponse": "from azureml.contrib.services.aml_response import AMLResponse",
    "input_schema": "from inference_schema.schema_decorators import input_schema",
    "output_schema": "from inference_schema.schema_decorators import output_schema",
    "spark": "from pyspark.sql import SparkSession; spark = SparkSession.builder.getOrCreate()",
}
_LOOP_IS_RUNNING: Final = (
    "An event loop is already running. Declare init() or run() with async def, and use await."
)
_RUNNING: Final[dict[str, str]] = {
    "cannot be called from a running event loop": _LOOP_IS_RUNNING,
    "loop is already running": _LOOP_IS_RUNNING,
    "bootstrapping phase": "The script starts processes while it is imported. Start them in "
    "init(), or set the start method to fork.",
}
_NUMPY_ALIASES: Final[dict[str, str]] = {
    "bool": "bool",
    "complex": "complex",
    "float": "float",
    "int": "int",
    "object": "object",
    "str": "str",
    "float_": "np.float64",
    "complex_": "np.complex128",
    "unicode_": "np.str_",
    "string_": "np.bytes_",
    "Inf": "np.inf",
    "Infinity": "np.inf",
    "NaN": "np.nan",
    "product": "np.prod",
    "cumproduct": "np.cumprod",
    "in1d": "np.isin",
    "row_stack": "np.vstack",
    "trapz": "np.trapezoid",
    "alltrue": "np.all",
    "sometrue": "np.any",
}


def script_exits(case: Case) -> str:
    """The script asked to end the process."""
    if not isinstance(case.error, SystemExit):
        return ""
    if case.passed("argparse.py"):
        return (
            "The script reads command line arguments, but the server passes it none. Read "
            "settings from environment variables in init(), or give parse_args() a list:\n"
            "    arguments = parser.parse_args([])"
        )
    if case.passed("click/core.py", "absl/app.py", "fire/core.py"):
        return (
            "The script runs a command line program when it is imported. Move that code under "
            '`if __name__ == "__main__":`.'
        )
    return (
        "The script ends the process (sys.exit, exit or quit), so it can never score. Raise an "
        "exception where it cannot continue; elsewhere remove the call. Code for the command line "
        'belongs under `if __name__ == "__main__":`.'
    )


def warning_as_error(case: Case) -> str:
    """A filter turns warnings into errors."""
    if not isinstance(case.error, Warning):
        return ""
    return (
        f"This is a warning ({case.type_name}) that a filter turned into an error. Look for "
        "warnings.simplefilter('error') or filterwarnings in the script and its packages, and for "
        "PYTHONWARNINGS or python -W in the image."
    )


def recursion(case: Case) -> str:
    """A function called itself without end."""
    if not isinstance(case.error, RecursionError):
        return ""
    if case.passed("pickle.py", "copy.py"):
        return (
            "The object is nested more deeply than Python's recursion limit allows. Raise the "
            "limit before it is loaded:\n    sys.setrecursionlimit(10_000)"
        )
    names = list(dict.fromkeys(f.function for f in case.frames[-4:] if f.function))
    who = " and ".join(f"{name}()" for name in names[:2]) or "A function"
    verb = "call each other" if len(names) > 1 else "calls itself"
    return f"{who} {verb} without end. Check the condition that should stop the recursion."


def undefined_name(case: Case) -> str:
    """A name is used that nothing defines."""
    quoted = re.search(r"'(\w+)'", case.message)
    if not isinstance(case.error, NameError) or quoted is None:
        return ""
    name = quoted[1]
    if isinstance(case.error, UnboundLocalError):
        return (
            f"{name} is assigned in this function, which makes it local. To set the module's "
            f"{name}, begin the function with:\n    global {name}"
        )
    if name in {"dbutils", "display", "get_ipython"}:
        return f"{name} exists in notebooks only. Remove it from the script."
    if name in _USUAL_IMPORTS:
        return f"The import is missing:\n    {_USUAL_IMPORTS[name]}"
    if name == "__file__":
        return "The code is run by exec(), without a file. Use an absolute path."
    return _defined_alike(case, name)


def missing_variable(case: Case) -> str:
    """An environment variable is not set."""
    frame = case.innermost
    if not isinstance(case.error, KeyError) or frame is None:
        return ""
    mapping = frame.f_locals.get("self")
    if not isinstance(mapping, type(os.environ)) or not case.error.args:
        return ""
    name = str(case.error.args[0])
    near = nearest(name, map(str, mapping))
    mean = f" Did you mean {near}? That one is set." if near else ""
    return (
        f"The environment variable {name} is not set here.{mean} Set it where the container is "
        f"started:\n    docker run -e {name}=...\n"
        f"or give a default in the script: os.environ.get({name!r}, default)"
    )


def bad_json(case: Case) -> str:
    """A configuration that ``init()`` reads is not JSON."""
    if case.type_name != "JSONDecodeError":
        return ""
    document = getattr(case.error, "doc", "")
    document = document.lstrip() if isinstance(document, str) else ""
    if "UTF-8 BOM" in case.message:
        return "The file begins with a byte order mark. Open it with encoding='utf-8-sig'."
    if not document:
        return "The JSON file or response is empty."
    start = document[:40].splitlines()[0]
    if document.startswith("<"):
        return f"The text is a web page, not JSON. It begins with: {start}"
    if document.startswith("version https://git-lfs"):
        return "The file is a Git LFS pointer. Fetch the file itself: git lfs pull"
    if "'" in document and "double quotes" in case.message:
        return "JSON requires double quotes. The text looks like Python's repr(); use json.dumps()."
    if "Extra data" in case.message:
        return "There is more than one JSON value. If each line is one, read the text line by line."
    return f"The text is not JSON beyond the position in the error. It begins with: {start}"


def numpy_names(case: Case) -> str:
    """Names that numpy no longer has."""
    match = re.search(r"module 'numpy' has no attribute '(\w+)'", case.message)
    if not isinstance(case.error, AttributeError):
        return ""
    if match is None:
        match = re.search(r"`np\.(\w+)` was (?:a deprecated alias|removed)", case.message)
    if match is None:
        return ""
    here = f"numpy {version_of('numpy')[1]} has no np.{match[1]}."
    instead = _NUMPY_ALIASES.get(match[1], "its successor")
    if f".{match[1]}" in case.failing_line:
        return f"{here} Use {instead}, or an older numpy."
    return f"{here} A package that the script imports uses it: upgrade it, or use an older numpy."


def dropped_attribute(case: Case) -> str:
    """Objects of another version than the code that uses them."""
    if not isinstance(case.error, AttributeError):
        return ""
    if re.search(r"'DataFrame' object has no attribute '(append|ix|iteritems)'", case.message):
        return (
            f"pandas {version_of('pandas')[1]} no longer has it. Use pandas.concat, .loc or "
            ".items(), or install the pandas version that the code was written for."
        )
    if re.search(
        r"module 'tensorflow' has no attribute '(Session|placeholder|get_default_graph)'",
        case.message,
    ):
        return "The code was written for TensorFlow 1. Import tensorflow.compat.v1, or convert it."
    match = re.search(r"'(\w+)' object has no attribute '(_\w+|\w+_)'", case.message)
    if match is None or case.from_user_code:
        return ""
    return (
        f"A {match[1]} without {match[2]} was probably saved by another version of its library. "
        "Install the version that saved it, or train again with this one."
    )


def none_joined(case: Case) -> str:
    """A path or text is None, usually because a variable is not set."""
    if not isinstance(case.error, TypeError) or "NoneType" not in case.message:
        return ""
    match = re.search(r"os\.(?:getenv|environ\.get)\(\s*['\"](\w+)['\"]", case.failing_lines)
    if match is None:
        return ""
    return f"The environment variable {match[1]} is not set here, so its value is None."


def running_loop(case: Case) -> str:
    """Event loops and servers that a script starts by itself."""
    return case.first_hint(_RUNNING)


def _defined_alike(case: Case, name: str) -> str:
    frame = case.innermost
    known = set(dir(builtins)) | (set(frame.f_locals) | set(frame.f_globals) if frame else set())
    near = nearest(name, sorted(known - {name}))
    if near:
        return f"Did you mean {near}?"
    return (
        f"Nothing named {name} is defined before this line: an import or an assignment is missing."
    )
