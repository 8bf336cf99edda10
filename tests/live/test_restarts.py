"""Workers that keep dying, and reloads in which something goes wrong at the worst moment."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.client import Response
from support.processes import alive, tree
from support.server import LiveServer, StartServer
from support.wait import wait_until

GATED = """
import os, time
from pathlib import Path
HERE = Path(__file__).parent
VERSION = {version}
def init():
    (HERE / f'begun.{{os.getpid()}}').write_text(str(VERSION))
    while {waits} and not (HERE / 'go').exists():
        time.sleep(0.005)
    if {fails} and not (HERE / 'mended').exists():
        raise ValueError('init is broken')
def run(data):
    return {{'version': VERSION, 'pid': os.getpid()}}
"""


def script(version: int, *, waits: bool = False, fails: bool = False) -> str:
    """A script that tells its version, and may wait for a file or fail in ``init()``."""
    return GATED.format(version=version, waits=waits, fails=fails)


def replace_script(server: LiveServer, source: str) -> None:
    """Change the script on disk in one act."""
    new = server.folder / "new"
    new.write_text(source)
    new.replace(server.folder / "main.py")


def begun(server: LiveServer, version: int) -> list[int]:
    """The processes that are in, or were in, ``init()`` of this version."""
    return [
        int(file.suffix[1:])
        for file in server.folder.glob("begun.*")
        if file.read_text() == str(version)
    ]


def wait_begun(server: LiveServer, version: int, count: int = 1) -> list[int]:
    wait_until(lambda: len(begun(server, version)) >= count, what=f"{count} in init() {version}")
    return begun(server, version)


def version_of(server: LiveServer) -> int:
    version: int = server.score()["version"]
    return version


def counts(server: LiveServer) -> dict[str, int]:
    found: dict[str, int] = server.get("/readyz").json()["workers"]
    return found


def workers(server: LiveServer) -> list[int]:
    fronts = {each.pid for each in tree(server.pid) if each.parent == server.pid}
    return [each.pid for each in tree(server.pid) if each.parent in fronts]


def test_a_death_is_an_event_with_its_reference(own_server: StartServer) -> None:
    """What `/readyz` refers to can be found in the log by the members of its JSON."""
    server = own_server("dies.py", settings={"SCOREHOST_LOG_FORMAT": "json"})
    assert server.post(json="kill").status == 500
    server.wait_ready()

    (death,) = [each for each in server.records() if each.get("reason") == "signal"]
    assert death["reference"] in server.get("/readyz").json()["last_worker_end"]


# -- a script that dies at every request --------------------------------------------------


def test_a_script_that_kills_itself_at_every_request(own_server: StartServer) -> None:
    """Each client has its 500; the pauses grow; readiness says so, and so does the refusal."""
    server = own_server("dies.py")
    refusals: list[Response] = []

    def refused() -> bool:
        response = server.post(json="kill")
        assert response.status in (500, 503)
        if response.status == 503:
            refusals.append(response)
        return bool(refusals)

    wait_until(refused, timeout=60, what="a pause so long that nobody waits for its end")
    ready = server.get("/readyz")

    assert ready.status == 503
    assert ready.json()["state"] == "restarting"
    assert "the next worker starts in" in ready.json()["doing"]
    assert "SIGKILL" in ready.json()["last_worker_end"]
    assert "the next worker starts in" in refusals[0].message
    wait = int(refusals[0].header("Retry-After") or 0)
    assert 2 <= wait <= 30
    assert server.get("/livez").status == 200
    server.wait_for_line("the next one starts in")
    server.wait_ready(timeout=wait + 10)
    assert "pid" in server.score("fine")


def test_requests_that_waited_are_answered_in_a_long_pause(own_server: StartServer) -> None:
    """Nobody is left in the queue of a server that has nobody to serve them."""
    server = own_server("dies.py")

    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(lambda _: server.post(json="kill", timeout=60.0), range(12)))

    assert {answer.status for answer in answers} == {500, 503}
    assert all(answer.header("Retry-After") for answer in answers if answer.status == 503)


def test_one_that_keeps_dying_does_not_keep_the_others_from_serving(
    own_server: StartServer,
) -> None:
    server = own_server("dies.py", settings={"WORKER_COUNT": "2"})
    wait_until(lambda: counts(server)["ready"] == 2, what="both are ready")

    for _ in range(2):
        assert server.post(json="kill").status == 500
        assert "pid" in server.score("fine")

    wait_until(lambda: counts(server)["ready"] == 2, what="both are back")


# -- reloads ------------------------------------------------------------------------------


@pytest.fixture
def server(own_server: StartServer) -> LiveServer:
    """Two workers with version 1."""
    server = own_server(files={"main.py": script(1)}, settings={"WORKER_COUNT": "2"})
    wait_until(lambda: counts(server)["ready"] == 2, what="both are ready")
    return server


def test_a_new_script_serves_when_all_of_it_is_proved(server: LiveServer) -> None:
    replace_script(server, script(2, waits=True))
    server.send_signal(signal.SIGHUP)
    wait_begun(server, 2, 2)

    assert version_of(server) == 1
    assert server.get("/readyz").json()["reloading"] is True
    server.make("go")

    wait_until(lambda: version_of(server) == 2, what="the new one serves")
    wait_until(lambda: len(workers(server)) == 2, what="the old ones have gone")
    assert 'scorehost_reloads_total{result="succeeded"} 1.0' in server.get("/metrics").text


def test_a_broken_script_is_not_switched_to(server: LiveServer) -> None:
    before = sorted(workers(server))
    replace_script(server, script(2, fails=True))
    server.send_signal(signal.SIGHUP)

    server.wait_for_line("the reload failed")

    assert version_of(server) == 1
    wait_until(lambda: sorted(workers(server)) == before, what="the new ones are gone")
    assert "init is broken" in server.log
    assert 'scorehost_reloads_total{result="failed"} 1.0' in server.get("/metrics").text
    replace_script(server, script(3))
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: version_of(server) == 3, what="mended, and reloaded")


ONE_WAITS = """
    try:
        (HERE / 'first').mkdir()
    except FileExistsError:
        while not (HERE / 'go').exists():
            time.sleep(0.005)
"""


def test_a_new_worker_that_dies_before_the_switch_fails_the_reload(
    own_server: StartServer,
) -> None:
    """It could score already, the other could not: the reload must not wait for ever."""
    settings = {"WORKER_COUNT": "2", "AZUREML_LOG_LEVEL": "DEBUG"}
    server = own_server(files={"main.py": script(1)}, settings=settings)
    wait_until(lambda: counts(server)["ready"] == 2, what="both are ready")
    replace_script(server, script(2).replace("    while False", ONE_WAITS + "    while False"))
    server.send_signal(signal.SIGHUP)
    line = server.wait_for_line("waits for the other new workers")

    os.kill(int(line.partition("(pid ")[2].partition(")")[0]), signal.SIGKILL)

    server.wait_for_line("the reload failed")
    assert version_of(server) == 1
    assert counts(server)["ready"] == 2


def test_an_old_worker_that_dies_during_a_failing_reload_is_replaced(server: LiveServer) -> None:
    """The start that the reload held back must not be forgotten with it."""
    old = workers(server)
    replace_script(server, script(2, waits=True, fails=True))
    server.send_signal(signal.SIGHUP)
    wait_begun(server, 2, 2)
    os.kill(old[0], signal.SIGKILL)
    server.wait_for_line("SIGKILL")

    replace_script(server, script(1))
    server.make("go")

    server.wait_for_line("the reload failed")
    wait_until(lambda: counts(server)["ready"] == 2, what="two workers again")
    assert version_of(server) == 1


def test_new_workers_serve_at_once_when_none_of_the_old_is_left(server: LiveServer) -> None:
    """There is nothing left to prove them against."""
    old = workers(server)
    replace_script(server, script(2, waits=True))
    server.send_signal(signal.SIGHUP)
    wait_begun(server, 2, 2)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.get("/readyz").status == 503, what="nobody serves")

    server.make("go")

    server.wait_ready()
    wait_until(lambda: counts(server)["ready"] == 2, what="both serve")
    assert version_of(server) == 2
    assert "reloading" not in server.get("/readyz").json()


def test_a_reload_during_a_reload_is_done_after_it(server: LiveServer) -> None:
    replace_script(server, script(2, waits=True))
    server.send_signal(signal.SIGHUP)
    wait_begun(server, 2, 2)
    replace_script(server, script(3))
    server.send_signal(signal.SIGHUP)
    server.send_signal(signal.SIGHUP)
    server.make("go")

    wait_until(lambda: version_of(server) == 3, what="the last one serves")
    wait_until(lambda: len(workers(server)) == 2, what="nothing else is left")


def test_a_request_that_runs_through_a_reload_is_answered_by_its_worker(
    own_server: StartServer,
) -> None:
    """Even through two: what is finishing is not ended by the next."""
    server = own_server("gated.py")
    with server.connect() as connection:
        connection.send_request("POST", "/score", body=b'"inside"')
        server.wait_for_file("inside.begun")
        for number in (1, 2):
            server.send_signal(signal.SIGHUP)
            wait_until(lambda n=number: len(server.lines("reloaded:")) == n, what="reloaded")

        server.make("inside.go")

        assert connection.read_response().status == 200


def test_recycling_and_reloading_together_leave_the_right_number(
    own_server: StartServer,
) -> None:
    settings = {"WORKER_COUNT": "2", "SCOREHOST_MAX_REQUESTS": "5"}
    server = own_server(files={"main.py": script(1)}, settings=settings)
    wait_until(lambda: counts(server)["ready"] == 2, what="both are ready")

    for number in (1, 2, 3):
        for _ in range(15):
            version_of(server)
        server.send_signal(signal.SIGHUP)
        for _ in range(15):
            version_of(server)
        wait_until(lambda n=number: len(server.lines("reloaded:")) == n, what="reloaded")

    wait_until(
        lambda: counts(server)["ready"] == 2 and len(workers(server)) == 2,
        what="two workers, and no more",
    )


def test_a_worker_that_dies_while_its_replacement_starts_is_replaced_once(
    own_server: StartServer,
) -> None:
    server = own_server(files={"main.py": script(1)}, settings={"SCOREHOST_MAX_REQUESTS": "3"})
    [old] = workers(server)
    replace_script(server, script(2, waits=True))
    while not server.lines("is being replaced"):
        version_of(server)
    wait_begun(server, 2)

    os.kill(old, signal.SIGKILL)
    server.wait_for_line("SIGKILL")
    server.make("go")

    server.wait_ready()
    wait_until(lambda: not alive(old) and len(workers(server)) == 1, what="one worker, no more")
    assert version_of(server) == 2
    assert server.lines("Traceback") == []


def test_a_held_server_tries_again_when_it_is_told_to(own_server: StartServer) -> None:
    """After a failed start HUP is how a mended script gets its chance; each failure is told."""
    settings = {"SCOREHOST_ON_INIT_FAILURE": "hold", "WORKER_COUNT": "2"}
    server = own_server(files={"main.py": script(1, fails=True)}, settings=settings, wait="")
    server.wait_for_line("stays up")
    assert server.get("/readyz").json()["state"] == "failed"

    server.send_signal(signal.SIGHUP)
    wait_until(lambda: len(server.lines("stays up")) == 2, what="the second failure is told")
    server.make("mended")
    server.send_signal(signal.SIGHUP)

    server.wait_ready()
    assert version_of(server) == 1
    assert server.get("/").status == 200


def test_a_stop_during_a_reload_ends_everything(server: LiveServer) -> None:
    replace_script(server, script(2, waits=True))
    server.send_signal(signal.SIGHUP)
    new = wait_begun(server, 2, 2)

    assert server.stop() == 0

    assert not [pid for pid in new if alive(pid)]
