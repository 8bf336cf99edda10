"""What surrounds a script that has an interpreter of its own: start, debugger, reload, reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.dap import DapClient
from support.processes import tree
from support.pythons import environment, oldest, pythons_here
from support.server import LiveServer, StartServer, clean_environment, free_port
from support.wait import wait_until

ABOUT = """
import importlib, importlib.util, json, os, sys

def init():
    pass

def can_import(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False

def run(data):
    asked = json.loads(data)
    if asked == "pid":
        return os.getpid()
    if asked == "variables":
        return dict(os.environ)
    if asked == "python":
        return [sys.executable, sys.prefix, sys.path]
    if asked == "crash":
        import ctypes
        ctypes.string_at(0)
    return {name: can_import(name) for name in asked}
"""

START = Path(__file__).parents[2] / "runtime" / "scorehost" / "worker" / "start.py"

OF_THE_SERVER = (
    "flask", "werkzeug", "numpy", "orjson", "httptools", "gunicorn", "prometheus_client", "uvloop",
    "flask_swagger_ui", "debugpy", "yaml", "rich", "packaging",
)  # fmt: skip
DOCUMENTED = (
    "scorehost", "azureml_stand_ins", "azureml", "azureml.core.model", "ptvsd",
    "azureml_inference_server_http",
)  # fmt: skip


STARTS = """
import json, multiprocessing, os, subprocess, sys
from azureml.core.model import Model

PROGRAM = (
    "import os, sitecustomize; from azureml.core.model import Model;"
    "print(Model.__module__, os.environ['OWN'], sitecustomize.__file__)"
)

def square(number):
    return number * number, Model.__module__, os.environ.get("OWN")

def init():
    pass

def run(data):
    how = json.loads(data)
    if how == "program":
        return subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).split()
    if how == "joblib":
        from joblib import Parallel, delayed
        return Parallel(n_jobs=2)(delayed(square)(number) for number in [7, 7])[0]
    with multiprocessing.get_context(how).Pool(1) as pool:
        return pool.apply(square, (7,))
"""


@pytest.fixture
def old() -> str:
    """The oldest Python here besides the server's own; that one where there is no other."""
    return oldest() or next(iter(pythons_here()))


def serve(
    start: StartServer, version: str, script: str = ABOUT, *arguments: str, **settings: str
) -> LiveServer:
    python = ("--python", str(environment(version, "bare")))
    return start(
        "", files={"main.py": script}, arguments=(*python, *arguments), settings=settings
    )  # fmt: skip


def test_nothing_of_the_servers_is_importable(live_server: StartServer, version: str) -> None:
    """In an empty environment nothing but the documented names."""
    server = serve(live_server, version)

    assert server.score(list(OF_THE_SERVER)) == dict.fromkeys(OF_THE_SERVER, False)
    assert server.score(list(DOCUMENTED)) == dict.fromkeys(DOCUMENTED, True)
    executable, prefix, _ = server.score("python")
    folder = environment(version, "bare")
    assert (executable, prefix) == (str(folder / "bin/python"), str(folder))


def test_nothing_is_installed_by_serving(live_server: StartServer, version: str) -> None:
    """What ``pip freeze`` tells of the environment is what was installed there."""
    folder = environment(version, "bare") / "lib" / f"python{version}" / "site-packages"
    before = sorted(path.name for path in folder.iterdir())

    serve(live_server, version).score(["flask"])

    assert sorted(path.name for path in folder.iterdir()) == before


def test_the_environment_variables(own_server: StartServer, old: str) -> None:
    """As the environment's activation has them; what leads to the server's Python is gone."""
    folder = environment(old, "bare")
    variables = {
        "VIRTUAL_ENV": sys.prefix,
        "PYTHONPATH": "/somewhere",
        "LD_LIBRARY_PATH": "/libraries",
    }
    server = serve(own_server, old, **variables)

    found = server.score("variables")

    assert found["PATH"].split(":")[0] == str(folder / "bin")
    assert found["VIRTUAL_ENV"] == str(folder)
    ours, theirs = found["PYTHONPATH"].split(":")
    assert ours.endswith("/scorehost/worker/for_children")
    assert theirs == "/somewhere"
    assert ours not in server.score("python")[2]
    assert found["LD_LIBRARY_PATH"] == "/libraries"
    assert "/somewhere" in server.score("python")[2]


def test_both_are_named_at_the_start(live_server: StartServer, version: str) -> None:
    server = serve(live_server, version)

    line = server.wait_for_line("the script runs in Python")
    assert f"Python {version}." in line
    assert f"the server in Python {sys.version.split()[0]} at {sys.executable}" in line


@pytest.mark.parametrize("command", ["serve", "check", "config"])
def test_one_that_cannot_run_scripts(tmp_path: Path, command: str) -> None:
    """It is refused before anything is started."""
    (tmp_path / "main.py").write_text(ABOUT)

    ended = subprocess.run(
        [sys.executable, "-m", "scorehost", command, "main.py", "--python", "no-such-environment"],
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 2
    assert "--python (SCOREHOST_PYTHON) is 'no-such-environment': there is no" in ended.stderr
    assert ended.stdout == ""


def test_the_folder_of_the_shell_is_not_asked(tmp_path: Path) -> None:
    """Modules of the user's that have names of Python's own do not mislead the first question."""
    for name in ("platform", "types", "collections", "enum", "re", "linecache", "ast"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this ran')")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text(ABOUT)

    for version in pythons_here():
        ended = subprocess.run(
            [sys.executable, "-P" if sys.version_info >= (3, 11) else "-I", "-m", "scorehost",
             "config", "app/main.py", "--python", str(environment(version, "bare"))],
            cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert f"Python {version}." in ended.stdout


def test_real_ones_that_are_too_old(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(ABOUT)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    too_old = [file for minor in "567" for file in root.glob(f"versions/3.{minor}.*/bin/python")]
    too_old += root.glob("versions/2.7.*/bin/python")

    for python in too_old:
        ended = subprocess.run(
            [sys.executable, "-m", "scorehost", "check", "main.py", "--python", str(python)],
            cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 2
        assert f"at {python} is too old: scripts need Python 3.8 to 3.14" in ended.stderr
        started = subprocess.run([python, START], capture_output=True, text=True, check=False)
        assert started.returncode == 1
        assert started.stderr.startswith("Scripts run under Python 3.8 or later")


def test_a_crash_is_reported(own_server: StartServer, old: str) -> None:
    """The report shows the script's lines, and not those of its Python."""
    server = serve(own_server, old, ABOUT, SCOREHOST_LOG_FORMAT="json")

    assert server.post(json="crash").status == 500
    server.wait_for_line("ready to score")
    [told] = wait_until(
        lambda: [each for each in server.records() if "SIGSEGV" in each.get("message", "")],
        what="the end is explained",
    )
    stacks = told["message"].partition("last stacks:")[2].split("\n")
    assert any("main.py:23 in run" in line for line in stacks)
    assert any("ctypes/__init__.py" in line for line in stacks)
    assert not any(str(environment(old, "bare")) in line for line in stacks)
    assert wait_until(lambda: server.post(json="pid").status == 200, what="another serves")


def test_preload_of_four(own_server: StartServer, old: str) -> None:
    server = serve(own_server, old, ABOUT, "--preload", "--workers", "4")

    wait_until(lambda: len(list(tree(server.pid))) == 7, what="arbiter, front, loader and four")
    executable = os.path.realpath(environment(old, "bare") / "bin" / "python")
    pids = {server.score("pid") for _ in range(40)}
    assert {os.path.realpath(f"/proc/{pid}/exe") for pid in pids} == {executable}


def test_reload(own_server: StartServer, old: str) -> None:
    """A better script is taken; a broken one is refused, and the old one serves on."""
    server = serve(own_server, old, ABOUT, "--reload")
    main = server.folder / "main.py"

    main.write_text(ABOUT.replace("os.getpid()", "'changed'"))
    wait_until(lambda: server.score("pid") == "changed", what="the new script serves")
    main.write_text("import tomllib\n" + ABOUT)
    server.wait_for_line("the reload failed; the previous workers keep serving")

    assert "The module tomllib needs Python 3.11 or later" in server.log
    assert server.score("pid") == "changed"


def test_a_breakpoint(own_server: StartServer, old: str) -> None:
    """The environment has no debugpy: the server's own is used."""
    port = free_port()
    server = serve(own_server, old, ABOUT, "--debug", "--debug-port", str(port))
    line = ABOUT.split("\n").index("    asked = json.loads(data)") + 2

    with DapClient(port).attach({server.folder / "main.py": [line]}) as client:
        connection = server.connect()
        connection.send_request("POST", "/score", body=b'"pid"')
        frame = client.stopped()
        assert (frame["name"], frame["line"]) == ("run", line)
        assert client.evaluate("sys.version_info[:2]") == str(tuple(map(int, old.split("."))))
        client.variables()
        client.set("asked", "['flask']")
        client.go_on()
        assert connection.read_response("POST").json() == {"flask": False}


def test_a_record_is_replayed(own_server: StartServer, old: str, tmp_path: Path) -> None:
    server = serve(own_server, old, ABOUT, "--record", "all", "--record-folder", str(tmp_path))
    server.score(["flask"])
    wait_until(lambda: list(tmp_path.rglob("*.json*")), what="it is recorded")

    done = subprocess.run(
        [sys.executable, "-m", "scorehost", "replay", "--all", "--json", "--record-folder",
         str(tmp_path), "--entry-script", str(server.folder / "main.py"), "--python",
         str(environment(old, "bare"))],
        env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert [each["verdict"] for each in json.loads(done.stdout)] == ["same"]
    assert done.stderr == ""


def test_a_replay_in_another_python_says_so(
    own_server: StartServer, old: str, tmp_path: Path
) -> None:
    server = serve(own_server, old, ABOUT, "--record", "all", "--record-folder", str(tmp_path))
    server.score(["scorehost"])
    wait_until(lambda: list(tmp_path.rglob("*.json*")), what="it is recorded")

    done = subprocess.run(
        [sys.executable, "-m", "scorehost", "replay", "--all", "--record-folder", str(tmp_path),
         "--entry-script", str(server.folder / "main.py")],
        env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert f"was recorded under Python {old}." in done.stderr
    assert f"and is replayed in Python {sys.version.split()[0]} at" in done.stderr


def test_processes_that_the_script_starts(own_server: StartServer, version: str) -> None:
    """They import the script, and with it what stands in for the retired packages.

    The environment's own ``sitecustomize`` is run as well.
    """
    python = ("--python", str(environment(version, "model")))
    files = {"main.py": STARTS, "more/sitecustomize.py": "import os; os.environ['OWN'] = 'run'"}
    server = own_server(
        "", files=files, arguments=python, settings={"PYTHONPATH": "more"}
    )  # fmt: skip

    for how in ("spawn", "forkserver", "fork", "joblib"):
        assert server.score(how, timeout=60) == [49, "azureml.core.model", "run"], how
    told = server.score("program", timeout=60)
    assert told == ["azureml.core.model", "run", str(server.folder / "more" / "sitecustomize.py")]


def test_the_server_was_upgraded_meanwhile(
    own_server: StartServer, old: str, tmp_path: Path
) -> None:
    """New processes of another version say so instead of misunderstanding what they hear."""
    copied = tmp_path / "site"
    subprocess.run(["cp", "-r", str(Path("runtime").absolute()), str(copied)], check=True)
    server = own_server(
        "", files={"main.py": ABOUT}, settings={"PYTHONPATH": str(copied)},
        arguments=("--python", str(environment(old, "bare"))),
    )  # fmt: skip
    requests = copied / "scorehost" / "wire" / "requests.py"
    # Longer, since within a second Python tells a changed file by its size alone.
    requests.write_text(requests.read_text().replace("PROTOCOL: Final = 1", "PROTOCOL: Final = 22"))

    server.send_signal(signal.SIGHUP)

    server.wait_for_line("Another version of scorehost has been installed while this server runs")
    assert server.score(["flask"]) == {"flask": False}
