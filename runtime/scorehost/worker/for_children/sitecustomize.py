"""Runs in every Python program that a script starts, where ``worker/start.py`` has asked for it.

Python imports a module of this name when it starts. This one adds scorehost's finders, as in the
scoring process itself, and then makes room for the environment's own ``sitecustomize``.
"""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
sys.modules.pop("sitecustomize", None)
start = os.path.join(os.path.dirname(here), "start.py")
if sys.version_info >= (3, 8) and os.path.exists(start):
    with open(start) as file:
        exec(compile(file.read(), start, "exec"), {"__name__": "__mp_main__", "__file__": start})
try:
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401 - the environment's own
except ImportError:
    pass
