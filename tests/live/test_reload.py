"""Live reload: the new script is proved beside the old, and nobody is refused meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scorehost.dev.watching import Watched
from scorehost.settings import Settings
from support.client import Connection
from support.server import LiveServer, StartServer, free_port
from support.wait import wait_until

SCRIPT = """\
import json

from sibling import BASE


def init():
    pass


def run(data):
    return {"version": VERSION, "base": BASE}
"""
SIBLING = "BASE = 1\n"
RELOAD = ("--reload",)


def version(number: int, source: str = SCRIPT) -> str:
    return source.replace("VERSION", str(number))


def serve(start: StartServer, arguments: Sequence[str] = RELOAD, **options: Any) -> LiveServer:
    files = {"main.py": version(1), "sibling.py": SIBLING} | options.pop("files", {})
    return start("", files=files, arguments=arguments, **options)


def wait_for(server: LiveServer, **expected: Any) -> None:
    def there() -> bool:
        answer = server.score()
        return all(answer.get(name) == value for name, value in expected.items())

    wait_until(there, what=f"{expected} served")


class Load:
    """Requests from several connections, one after the other on each, until it is stopped."""

    def __init__(self, server: LiveServer, connections: int = 4) -> None:
        self.failed: list[str] = []
        self.answered = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(server.connect(),)) for _ in range(connections)
        ]

    def _ask(self, connection: Connection) -> None:
        with connection:
            while not self._stop.wait(0.01):
                try:
                    response = connection.request(
                        "POST", "/score", headers=[("Content-Type", "application/json")], body=b"[]"
                    )
                except Exception as error:
                    self.failed.append(repr(error))
                    return
                self.answered += 1
                if response.status != 200:
                    self.failed.append(f"{response.status}: {response.text}")

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_saves_of_the_script_and_of_a_sibling(own_server: StartServer):
    server = serve(own_server)
    assert server.score() == {"version": 1, "base": 1}

    (server.folder / "main.py").write_text(version(2))
    wait_for(server, version=2)
    (server.folder / "sibling.py").write_text("BASE = 7\n")
    wait_for(server, base=7)

    server.wait_for_line("changed: main.py")
    server.wait_for_line("changed: sibling.py")


@pytest.mark.clock
@pytest.mark.timeout(400)
def test_fifty_reloads_under_load(own_server: StartServer):
    """No failed request; each is live within 1 s, plus what import and init() take here."""
    server = serve(own_server)
    began = time.monotonic()
    for _ in range(3):  # what a start costs on this machine, busy as it is
        server.send_signal(1)
        count = len(server.lines("reloaded: 1 new worker"))
        wait_until(lambda: len(server.lines("reloaded: 1 new worker")) > count, timeout=60)  # noqa: B023
    start = (time.monotonic() - began) / 3
    taken = []
    with Load(server) as load:
        for number in range(2, 52):
            began = time.monotonic()
            (server.folder / "main.py").write_text(version(number))
            wait_for(server, version=number)
            taken.append(time.monotonic() - began)
    taken.sort()
    print(f"start {start:.2f} s; live after median {taken[25]:.2f}, longest {taken[-1]:.2f} s; "
          f"{load.answered} requests")  # fmt: skip
    assert load.failed == []
    assert load.answered > 500
    assert taken[25] < 1 + start
    assert taken[-1] < 1 + 8 * start  # the load, and other tests, take their share of two cores


def test_saves_within_one_second_and_of_one_size(own_server: StartServer):
    """Python's own cache of a module cannot tell them apart."""
    server = serve(own_server)
    sibling = server.folder / "sibling.py"
    second = int(time.time()) * 10**9
    for base in range(2, 6):
        sibling.write_text(f"BASE = {base}\n")
        os.utime(sibling, ns=(second + base, second + base))
        wait_for(server, base=base)


def test_a_syntax_error_keeps_the_old(own_server: StartServer):
    server = serve(own_server)
    with Load(server, 2) as load:
        (server.folder / "main.py").write_text("def run(data):\n    return (1\n")
        server.wait_for_line("the reload failed")
        ready = server.get("/readyz")
        assert ready.status == 200
        failure = ready.json()["last_failure"]
        assert (failure["stage"], failure["error"]) == ("read", "SyntaxError")
        assert server.score() == {"version": 1, "base": 1}
        server.wait_for_line("main.py did not start", f"(reference {failure['reference']})")
        server.wait_for_line("main.py:2")

        (server.folder / "main.py").write_text(version(3))
        wait_for(server, version=3)
    assert load.failed == []
    assert "last_failure" not in server.get("/readyz").json()


TYPED = """\
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema


def init():
    pass


@input_schema("data", StandardPythonParameterType([1, 2]))
def run(data):
    return {"total": SUM}
"""


def test_a_script_that_fails_its_own_sample_is_not_switched_to(own_server: StartServer):
    """The warm-up: the decorators' sample is answered before requests come."""
    good, bad = TYPED.replace("SUM", "sum(data)"), TYPED.replace("SUM", "sum(data) / 0")
    server = own_server("", files={"main.py": good}, arguments=["--reload"])

    (server.folder / "main.py").write_text(bad)
    server.wait_for_line("the reload failed")

    failure = server.get("/readyz").json()["last_failure"]
    assert (failure["stage"], "ZeroDivisionError" in failure["error"]) == ("run", True)
    assert server.score({"data": [3, 4]}) == {"total": 7}


def test_a_broken_script_waits_for_the_save_that_heals_it(own_server: StartServer):
    server = serve(own_server, ["--reload"], files={"main.py": "import nowhere_to_be_found\n"},
                   wait="listening")  # fmt: skip
    server.wait_for_line("nothing can be scored until the script is fixed and saved")
    assert server.get("/readyz").status == 503

    (server.folder / "main.py").write_text(version(2))
    server.wait_ready()

    assert server.score()["version"] == 2


def test_the_newest_save_counts_while_an_older_one_still_starts(own_server: StartServer):
    slow = version(2).replace("    pass", "    import time\n    time.sleep(60)")
    server = serve(own_server, ["--reload"])

    (server.folder / "main.py").write_text(slow)
    wait_until(lambda: server.get("/readyz").json().get("reloading"), what="reloading")
    (server.folder / "main.py").write_text(version(3))

    wait_for(server, version=3)


def test_a_request_inside_the_old_script_is_answered_by_it(own_server: StartServer):
    source = version(1).replace(
        "    return", "    import os, time\n    open('inside', 'w').close()\n"
        "    while not os.path.exists('go_on'):\n        time.sleep(0.01)\n    return")  # fmt: skip
    server = serve(own_server, ["--reload"], files={"main.py": source})
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(server.score()))
    thread.start()
    server.wait_for_file("inside")

    (server.folder / "main.py").write_text(version(2))
    wait_for(server, version=2)
    assert answers == []
    server.make("go_on")
    thread.join(20)

    assert answers == [{"version": 1, "base": 1}]


def test_the_config_file_and_a_model(own_server: StartServer):
    source = version(1).replace("{", '{"service": os.environ.get("SERVICE_NAME"), "model": MODEL, ')
    source = "import os\nMODEL = open('azureml-models/m/1/model.txt').read()\n" + source
    server = serve(
        own_server,
        files={"main.py": source, "config.json": json.dumps({"SERVICE_NAME": "before"}),
               "azureml-models/m/1/model.txt": "old"},
    )  # fmt: skip
    assert server.score()["service"] == "before"

    (server.folder / "config.json").write_text(
        json.dumps({"SERVICE_NAME": "after", "WORKER_COUNT": 2})
    )
    wait_for(server, service="after")
    server.wait_for_line("restart the server for changes to WORKER_COUNT to take effect")
    (server.folder / "azureml-models" / "m" / "1" / "model.txt").write_text("new")
    wait_for(server, model="new")


def test_a_models_folder_that_comes_after_the_start(own_server: StartServer):
    """What the report advises heals the server: put the model there."""
    source = (
        "from azureml.core.model import Model\n\n\ndef init():\n    global text\n"
        "    text = open(Model.get_model_path('m')).read()\n\n\ndef run(data):\n    return text\n"
    )
    server = own_server("", files={"main.py": source}, arguments=RELOAD, wait="listening")
    server.wait_for_line("nothing can be scored until the script is fixed and saved")

    version = server.folder / "azureml-models" / "m" / "1"
    version.mkdir(parents=True)
    (version / "model.txt").write_text("weights")
    server.wait_ready()

    assert server.score() == "weights"


def test_a_model_folder_elsewhere_is_replaced(own_server: StartServer, tmp_path: Path):
    """It is taken away, comes again, and is changed once more: each is seen."""
    models = tmp_path / "models"
    source = "from pathlib import Path\n" + version(1).replace(
        "{", '{"names": sorted(each.name for each in models.iterdir()), "text": text, '
    ).replace("    pass", f"    global models, text\n    models = Path({str(models)!r})\n"
              "    text = (models / 'text').read_text()")  # fmt: skip
    models.mkdir()
    (models / "text").write_text("first")
    server = serve(
        own_server, [*RELOAD, "--model-dir", str(models)], files={"main.py": source},
    )  # fmt: skip
    assert server.score()["text"] == "first"

    shutil.rmtree(models)
    server.wait_for_line("the reload failed")
    models.mkdir()
    (models / "text").write_text("second")
    wait_for(server, text="second")
    (models / "text").write_text("third")

    wait_for(server, text="third")


def test_a_config_file_that_comes_after_the_start(own_server: StartServer):
    source = "import os\n" + version(1).replace("{", '{"service": os.environ.get("SERVICE_NAME"), ')
    server = serve(own_server, files={"main.py": source})
    file = server.folder / "config.json"

    file.write_text('{"hidden_size": 4}')
    server.wait_for_line("none of its keys is a setting")
    assert not server.lines("reloading: starting new workers")  # it is a model's
    file.write_text('{"SERVICE_NAME": "ships"}')
    wait_for(server, service="ships")
    file.unlink()

    wait_for(server, service=None)


def test_a_broken_config_file_changes_no_setting(own_server: StartServer):
    source = "import os\n" + version(1).replace("{", '{"service": os.environ.get("SERVICE_NAME"), ')
    server = serve(
        own_server,
        files={"main.py": source, "config.json": '{"SERVICE_NAME": "ships"}'},
    )  # fmt: skip

    (server.folder / "config.json").write_text('{"SERVICE_NAME": ')
    server.wait_for_line(
        "the config file cannot be used, so the settings stay as they are", "is not JSON"
    )
    (server.folder / "sibling.py").write_text("BASE = 2\n")
    wait_for(server, base=2)
    assert server.score()["service"] == "ships"
    (server.folder / "config.json").write_text('{"SERVICE_NAME": "boats", "SERVICE_NAMES": 1}')
    wait_for(server, service="boats")

    server.wait_for_line("WARN", "Unknown setting SERVICE_NAMES")


def test_a_named_config_file_that_is_broken_leaves_the_debug_page(own_server: StartServer):
    """One elsewhere, which no event tells of."""
    source = "import os\n" + version(1).replace("{", '{"service": os.environ.get("SERVICE_NAME"), ')
    server = serve(
        own_server,
        ["--reload", "--debug", "--debug-port", str(free_port()), "--config-file", "../named.json"],
        files={"main.py": source, "../named.json": '{"SERVICE_NAME": "ships"}'},
    )
    named = server.folder.parent / "named.json"

    named.write_text("{")
    server.wait_for_line("the config file cannot be used, so the settings stay as they are")
    assert server.get("/debug/about").status == 200
    named.write_text('{"SERVICE_NAME": "boats"}')

    wait_for(server, service="boats")


def test_links(own_server: StartServer, tmp_path: Path):
    """A script that is a link, links that lead in circles, and a linked folder that is swapped."""
    for number in (1, 2):
        (tmp_path / f"lib{number}").mkdir()
        (tmp_path / f"lib{number}" / "part.py").write_text(f"PART = {number}\n")
    (tmp_path / "lib").symlink_to("lib1")
    target = tmp_path / "real.py"
    target.write_text(version(1))
    server = serve(own_server)
    (server.folder / "x").symlink_to(".")
    (server.folder / "y").symlink_to(".")
    (server.folder / "lib").symlink_to(tmp_path / "lib")
    (server.folder / "main.py").unlink()
    (server.folder / "main.py").symlink_to(target)
    (server.folder / "sibling.py").write_text("from lib.part import PART as BASE\n")
    wait_for(server, base=1)

    target.write_text(version(2))
    wait_for(server, version=2)
    (tmp_path / "new").symlink_to("lib2")
    (tmp_path / "new").replace(tmp_path / "lib")
    wait_for(server, base=2)
    (tmp_path / "lib2" / "part.py").write_text("PART = 3\n")

    wait_for(server, base=3)


def test_by_hand_in_debug_mode(own_server: StartServer):
    server = serve(own_server, ["--debug", "--debug-port", str(free_port())])
    (server.folder / "main.py").write_text(version(2))
    assert server.score()["version"] == 1

    reloaded = server.post("/-/reload", body=b"", timeout=60)
    assert (reloaded.status, reloaded.json()["message"]) == (200, "Reloaded.")
    assert server.score()["version"] == 2
    (server.folder / "main.py").write_text("1 / 0\n")
    failed = server.post("/-/reload", body=b"", timeout=60)

    assert failed.status == 500
    assert "ZeroDivisionError" in failed.json()["report"]
    assert server.score()["version"] == 2
    assert server.get("/-/reload").status == 405
    assert (
        server.post("/-/reload", body=b"", headers={"Origin": "http://evil.example"}).status == 403
    )


def test_by_hand_when_nothing_serves_and_the_script_is_broken(own_server: StartServer):
    """It served before: the answer is the report, and it comes."""
    server = serve(own_server, ["--debug", "--debug-port", str(free_port())])
    (server.folder / "main.py").write_text("def init(:\n")
    for worker in server.get("/debug/state").json()["workers"]:
        os.kill(worker["pid"], 9)
    wait_until(lambda: server.get("/readyz").json().get("last_failure"), what="it cannot start")

    answer = server.post("/-/reload", body=b"")

    assert (answer.status, answer.message) == (500, "The reload failed.")


def test_without_debug_mode_there_is_no_reload_by_hand(own_server: StartServer):
    server = serve(own_server, ["--reload"])

    assert server.post("/-/reload", body=b"").status == 404
    assert server.get("/debug").status == 404


# -- what is watched ------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    for folder in ("src", "azureml-models/m/1"):
        (tmp_path / folder).mkdir(parents=True)
    return Watched(
        Settings(
            app_root=tmp_path,
            entry_script="src/score.py",
            config_file=tmp_path / "settings.json",
        )
    )


@pytest.mark.parametrize(
    "name",
    [
        "src/score.py",
        "helper.py",
        "src/deep/er.py",
        "settings.json",
        "azureml-models/m/1/model.pkl",
    ],
)
def test_files_that_matter(watched: Watched, tmp_path: Path, name: str):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    assert set(watched.snapshot()) == {str(file)}


@pytest.mark.parametrize(
    "name",
    [
        "src/.score.py.swp", "src/score.py~", "src/4913", "src/#score.py#", "src/.#score.py",
        "src/score.py.swx", "src/score.py___jb_tmp___", "src/sedAbC123", "src/score.py.tmp",
        "src/__pycache__/score.cpython-311.pyc", ".venv/lib/x.py", ".git/hooks/x.py",
        ".scorehost/requests/1.json", "data.csv", "site-packages/x.py", "node_modules/x.py",
        "azureml-models/m/1/.model.pkl.part", "environment/lib/x.py",
    ],
)  # fmt: skip
def test_files_that_do_not(watched: Watched, tmp_path: Path, name: str):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    if name.startswith("environment"):
        (tmp_path / "environment" / "pyvenv.cfg").touch()
    assert watched.snapshot() == {}


def test_links_that_lead_in_circles(watched: Watched, tmp_path: Path):
    """Each file is looked at once, under its own name."""
    (tmp_path / "src" / "score.py").touch()
    for name, target in (("a", "."), ("b", "."), ("c", "src"), ("src/up", "..")):
        (tmp_path / name).symlink_to(target)

    assert set(watched.snapshot()) == {str(tmp_path / "src" / "score.py")}


def test_a_model_behind_a_link_and_a_swap_of_its_target(watched: Watched, tmp_path: Path):
    """As Kubernetes mounts a ConfigMap: the files are links through one link that is swapped."""
    mount = tmp_path / "azureml-models" / "m" / "1"
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "model.pkl").write_text("same")
    (mount / "..data").symlink_to(tmp_path / "..1")
    (mount / "model.pkl").symlink_to("..data/model.pkl")
    before = watched.snapshot()
    assert set(before) == {str(mount / "model.pkl")}

    (mount / "..new").symlink_to(tmp_path / "..2")
    (mount / "..new").rename(mount / "..data")

    assert watched.snapshot() != before


def test_what_may_not_be_read_keeps_nothing_from_being_seen(watched: Watched, tmp_path: Path):
    (tmp_path / "src" / "score.py").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "circle.py").symlink_to("circle.py")

    assert set(watched.snapshot()) == {str(tmp_path / "src" / "score.py")}


def test_editors_leave_their_files_and_nothing_reloads(own_server: StartServer):
    """A save as vim does it: a probe, a backup, a new file in the place of the old; one reload."""
    server = serve(own_server)
    folder = server.folder
    (folder / "4913").touch()
    (folder / "4913").unlink()
    os.rename(folder / "main.py", folder / "main.py~")
    (folder / "main.py").write_text(version(2))
    (folder / "main.py~").unlink()
    (folder / ".main.py.swp").write_bytes(b"b0VIM")
    wait_for(server, version=2)

    (folder / "notes.txt").write_text("of no consequence")
    (folder / "sibling.py").write_text("BASE = 2\n")
    wait_for(server, base=2)

    assert len(server.lines("reloading: starting new workers")) == 2


def test_a_burst_of_saves_is_one(own_server: StartServer):
    server = serve(own_server)
    for number in range(2, 12):
        (server.folder / "main.py").write_text(version(number))
        (server.folder / f"module{number}.py").write_text("")
    wait_for(server, version=11)

    assert 1 <= len(server.lines("changed: ")) <= 2
