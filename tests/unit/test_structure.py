"""The package as a whole: importing it does nothing, and imports follow the documented order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.server import clean_environment

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime"
PROBE = ROOT / "tests" / "support" / "import_probe.py"


def what_imports_do(folder: Path, *packages: str) -> dict[str, list[str]]:
    """For each module of the packages, what importing it does besides defining things."""
    done = subprocess.run(
        [sys.executable, str(PROBE), str(folder), *packages],
        env=clean_environment({"OPENBLAS_NUM_THREADS": "1"}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_importing_any_module_does_nothing():
    """No environment read, no file, handler, thread, process or socket, no setting changed."""
    found = what_imports_do(RUNTIME, "scorehost", "azureml_stand_ins")

    assert "scorehost.settings" in found
    assert {name: done for name, done in found.items() if done} == {}


NAUGHTY = {
    "changes_folder": "import os; os.chdir('/')",
    "changes_path": "import sys; sys.path.append('/nowhere')",
    "ends": "import os; os._exit(0)",
    "exits": "import sys; sys.exit(3)",
    "filters_warnings": "import warnings; warnings.simplefilter('ignore')",
    "freezes": "import gc; gc.freeze()",
    "handles_exit": "import atexit; atexit.register(print)",
    "handles_faults": "import faulthandler; faulthandler.enable()",
    "handles_signal": "import signal; signal.signal(signal.SIGUSR1, print)",
    "hooks": "import sys; sys.excepthook = print",
    "logs": "import logging; logging.basicConfig()",
    "makes_folder": "from pathlib import Path; Path('made').mkdir()",
    "opens_socket": "import socket; socket.socket()",
    "patches": "import builtins; builtins.print = len",
    "raises": "1 / 0",
    "reads_all_variables": "import os; everything = dict(os.environ)",
    "reads_file": "text = open(__file__).read()",
    "reads_variable": "import os; home = os.environ.get('HOME')",
    "reads_variable_by_name": "from os import environ; home = environ['PATH']",
    "reads_variable_indirectly": "import os; home = os.path.expanduser('~')",
    "reads_variable_old_style": "import os; home = os.getenv('HOME')",
    "runs": "import subprocess; subprocess.run(['true'])",
    "sets_level": "import logging; logging.getLogger('some').setLevel(10)",
    "sets_variable": "import os; os.environ['A'] = 'b'",
    "starts_thread": "import threading; threading.Thread(target=int).start()",
    "tests_variable": "import os; here = 'HOME' in os.environ",
    "writes_file": "from pathlib import Path; Path('made.txt').write_text('')",
}
GOOD = {
    "defines": "import os, json\ndef home():\n    return os.environ['HOME']",
    "imports_from_inside": "from naughty.defines import home",
}


@pytest.fixture(scope="module")
def naughty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the probe finds in modules that each do one thing on import."""
    package = tmp_path_factory.mktemp("probe") / "naughty"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, source in (NAUGHTY | GOOD).items():
        (package / f"{name}.py").write_text(source)
    return what_imports_do(package.parent, "naughty")


@pytest.mark.parametrize("name", NAUGHTY)
def test_the_probe_sees(naughty: dict[str, list[str]], name: str):
    """Each thing that an import must not do is seen, so that the test above can fail."""
    assert naughty[f"naughty.{name}"] != []


@pytest.mark.parametrize("name", GOOD)
def test_the_probe_lets_pass(naughty: dict[str, list[str]], name: str):
    """Defining a function that reads the environment is no reading."""
    assert naughty[f"naughty.{name}"] == []
