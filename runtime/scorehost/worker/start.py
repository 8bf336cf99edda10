"""What a scoring process runs first: the worker's side of scorehost is handed over to it.

Theory of operation. The server starts this file with the script's interpreter. That need not have
scorehost installed, and must not find what the server has beside it (its Flask, its numpy). So
one finder, before all others, answers for scorehost's own two names and for nothing else, from the
folder that this file lies in: both sides are always of the same version. The stand-ins for retired
packages come after all other finders, so that real packages win; where scorehost is installed, its
``.pth`` file has added them already.

Processes that the script starts with multiprocessing's "spawn" or "forkserver" run this file too,
as multiprocessing runs the main file of every program. There it does nothing but add the finders,
without which such a process could not import the script again.

Any Python can read this file, Python 2 too: an environment's Python may be replaced while the
server runs, and has to say that it is too old.
"""

import sys

if __name__ in ("__main__", "__mp_main__"):
    if sys.version_info < (3, 8):  # noqa: UP036 - Python 2 too reads this
        sys.exit("Scripts run under Python 3.8 or later, and this is Python " + sys.version)
    import gc
    import os

    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    if __name__ == "__main__":
        gc.disable()  # while only our own modules are loaded
        if sys.path and sys.path[0] == here:  # put there by Python, and of no use to the script
            del sys.path[0]

    from importlib.machinery import PathFinder

    folder = os.path.dirname(os.path.dirname(here))  # noqa: PTH120
    names = ("scorehost", "azureml_stand_ins")
    finder = {
        "find_spec": lambda name, _path=None, target=None: (
            PathFinder.find_spec(name, [folder], target) if name in names else None
        )
    }
    sys.meta_path.insert(0, type("ScorehostItself", (), finder))  # type: ignore[arg-type]
    if all(getattr(each, "__name__", "") != "ScorehostStandIns" for each in sys.meta_path):
        from azureml_stand_ins import ScorehostStandIns

        sys.meta_path.append(ScorehostStandIns)  # type: ignore[arg-type]

if __name__ == "__main__":
    from scorehost.worker.process import main

    main(sys.argv[1:])
