"""What a scoring process runs first: the worker's side of scorehost is handed over to it.

Theory of operation. The server starts this file with the script's interpreter. That need not have
scorehost installed, and must not find what the server has beside it (its Flask, its numpy). So
one finder, before all others, answers for scorehost's own two names and for nothing else, from the
folder that this file lies in: both sides are always of the same version. The stand-ins for retired
packages come after all other finders, so that real packages win; where scorehost is installed, its
``.pth`` file has added them already.

Where it is not, processes that the script starts need the finders too, or they could not import
the script again: those of multiprocessing, of joblib, and Python programs. PYTHONPATH leads them
to ``for_children/sitecustomize.py``, which runs this file under another name. An image has a
``.pth`` file for that in the script's environment (``images/recipes/scorehost.pth``).

Any Python can read this file, Python 2 too: an environment's Python may be replaced while the
server runs, and has to say that it is too old.
"""

import os
import sys


def _add_finders():  # type: () -> None
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.dirname(os.path.dirname(here))
    names = ("scorehost", "azureml_stand_ins")
    finder = {
        "find_spec": lambda name, _path=None, target=None: (
            PathFinder.find_spec(name, [folder], target) if name in names else None
        )
    }
    there = [getattr(each, "__name__", "") for each in sys.meta_path]
    if "ScorehostItself" in there:
        return
    sys.meta_path.insert(0, type("ScorehostItself", (), finder))  # type: ignore[arg-type]
    if "ScorehostStandIns" not in there:
        from azureml_stand_ins import ScorehostStandIns

        sys.meta_path.append(ScorehostStandIns)  # type: ignore[arg-type]
        first = os.path.join(here, "for_children")
        others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if first not in others:
            os.environ["PYTHONPATH"] = os.pathsep.join([first] + [each for each in others if each])


def _begin():  # type: () -> None
    if sys.version_info < (3, 8):
        sys.exit("Scripts run under Python 3.8 or later, and this is Python " + sys.version)
    import gc

    gc.disable()  # while only our own modules are loaded
    file = os.path.abspath(__file__)
    if sys.path and sys.path[0] in {os.path.dirname(file), os.path.dirname(os.path.realpath(file))}:
        del sys.path[0]  # put there by Python, and of no use to the script
    _add_finders()
    from scorehost.worker.process import main

    main(sys.argv[1:])


if __name__ == "__main__":
    _begin()
elif __name__ == "__mp_main__":  # a process that the script has started
    _add_finders()
