"""What a scoring process runs first: the worker's side of scorehost is handed over to it.

The script's interpreter need not have scorehost installed, and must not find what the server has
beside it (its Flask, its numpy). So one finder, before all others, answers for scorehost's own two
names and for nothing else, from the folder that the server itself runs from: the two sides are
always of the same version. The stand-ins for retired packages come after all other finders, so
that real packages win; where scorehost is installed, its ``.pth`` file has added them already.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Final

import scorehost
from scorehost.interpreter import Interpreter

FOLDER: Final = str(Path(scorehost.__file__).resolve().parents[1])
"""Where the packages ``scorehost`` and ``azureml_stand_ins`` lie."""

# Python 2 must be able to read this, to say that it is too old: the environment's Python may have
# been replaced while the server runs. The script's folder must not come first on sys.path while our
# own modules are imported: a user's json.py would be imported instead of Python's.
_FIRST: Final = """\
import sys
if sys.version_info < (3, 8):
    sys.exit("scorehost needs Python 3.8 or later for the script, and this is " + sys.version)
import gc
gc.disable()  # while only our own modules are loaded
if sys.path and sys.path[0] == "":
    del sys.path[0]
from importlib.machinery import PathFinder
class ScorehostItself:
    @staticmethod
    def find_spec(name, path=None, target=None, folder=sys.argv[1]):
        if name in ("scorehost", "azureml_stand_ins"):
            return PathFinder.find_spec(name, [folder], target)
sys.meta_path.insert(0, ScorehostItself)
if all(getattr(each, "__name__", "") != "ScorehostStandIns" for each in sys.meta_path):
    import azureml_stand_ins
    sys.meta_path.append(azureml_stand_ins.ScorehostStandIns)
from scorehost.worker.process import main
main(sys.argv[2:])
"""


def own_debugpy() -> dict[str, str] | None:
    """Return the folder of the server's own debugpy, and its Python; None where there is none."""
    found = importlib.util.find_spec("debugpy")
    if found is None or not found.origin:
        return None
    return {"folder": str(Path(found.origin).parents[1]), "python": sys.executable}


def command(interpreter: Interpreter, words: list[str]) -> list[str]:
    """Return the command that starts a scoring process.

    Parameters
    ----------
    interpreter : runs it.
    words : arguments of ``main`` in ``worker/process.py``.
    """
    return [interpreter.path, "-c", _FIRST, FOLDER, *words]
