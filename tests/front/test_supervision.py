"""What follows from the fate of workers: for clients, probes, metrics, the log, and the cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scorehost.diagnosis.report import report_exception
from scorehost.front.workers.deaths import explain_end
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.lifecycle import Start
from scorehost.front.workers.roster import Member
from scorehost.profile import Profile
from scorehost.settings import Settings
from support.client import Connection
from support.memory import MemoryServer, MemoryWorker


def connected(server: MemoryServer) -> MemoryServer:
    """Have the pool tell the front what happens, as when it is started."""
    pool = server.front.pool
    pool._listener = server.front.supervision
    return server


def starting(server: MemoryServer, index: int = 1) -> WorkerHandle:
    """A worker that is on its way, as the front sees it."""
    handle = WorkerHandle(Member(index, 1, started=time.monotonic() - 3))
    handle.handed_over()
    pool = server.front.pool
    pool.lifecycle.roster.members.append(handle.member)
    pool._handles[handle.member] = handle
    return handle


def fails_to_start(server: MemoryServer, why: str = "no such model", index: int = 1) -> None:
    """A worker ends because of the script's init()."""
    handle = starting(connected(server), index)
    try:
        raise ValueError(why)
    except ValueError as error:
        settings = server.settings
        report = report_exception(
            error, stage="init()", script=settings.script, app_root=settings.root
        )
    handle.report = report.to_dict()
    handle.stage = "init()"
    handle.returncode = 3
    server.front.pool.process_ended(handle)
    handle.close()


def dies(server: MemoryServer, worker: MemoryWorker, code: int = -9) -> None:
    """The process of a worker ends."""
    worker.handle.member.ready_at = time.monotonic()
    server.loop.remove_reader(worker.handle.answers.fileno())
    worker.handle.returncode = code
    connected(server).front.pool.process_ended(worker.handle)


def inside(server: MemoryServer, name: str = "r-1") -> Connection:
    """A client whose request a worker has begun and does not answer."""
    server.workers[0].paused = True
    client = server.connect()
    client.send_request("POST", "/score", headers=[("x-request-id", name)], body=b"{}")
    server.run()
    assert server.workers[0].next() is not None
    return client


# -- a worker that dies ---------------------------------------------------------------------


def test_whose_request_was_inside_is_told(own_server: Any) -> None:
    server = own_server("echo.py")
    client = inside(server)

    dies(server, server.workers[0])

    response = client.read_response("POST")
    assert response.status == 500
    assert "The scoring process ended while handling this request." in response.text
    assert server.wait_for_line("ERROR", "worker 1 (pid 0)", "SIGKILL", "r-1")
    assert "SIGKILL" in server.get("/readyz").json()["last_worker_end"]
    assert "r-1" not in server.get("/readyz").text


def test_a_death_is_counted_and_left_where_kubernetes_looks(
    own_server: Any, tmp_path: Path
) -> None:
    message = tmp_path / "termination-log"
    server = own_server("echo.py", settings={"SCOREHOST_TERMINATION_LOG": str(message)})

    dies(server, server.workers[0], code=7)

    assert 'scorehost_worker_deaths_total{reason="exit"} 1.0' in server.get("/metrics").text
    assert "ended by itself with status 7" in message.read_text()


def test_a_server_that_lost_its_only_worker_is_restarting(own_server: Any) -> None:
    server = own_server("echo.py")
    dies(server, server.workers[0])

    probe = server.get("/readyz")

    assert (probe.status, probe.json()["state"]) == (503, "restarting")
    assert server.get("/startupz").status == 200, "it has been up once"
    assert server.get("/livez").status == 200


def test_when_they_keep_dying_clients_learn_when_to_come_back(own_server: Any) -> None:
    """Nobody waits for a worker that starts in more than two seconds."""
    server = own_server("echo.py")
    dies(server, server.workers[0])
    for index in range(2, 7):
        dies(server, server.add_worker(index))

    probe = server.get("/readyz")
    score = server.post(body=b"1")

    assert probe.json()["doing"].startswith("the next worker starts in ")
    assert score.status == 503
    assert "the server is restarting: the next worker starts in" in score.text
    assert int(score.header("Retry-After")) > 2
    assert server.lines("WARN", "scoring processes have ended within")


def test_another_worker_goes_on(own_server: Any) -> None:
    server = own_server("echo.py", workers=2)

    dies(server, server.workers[0])

    assert server.get("/readyz").json()["workers"]["ready"] == 1
    assert server.post(body=b"[1]").status == 200


# -- a script that does not start -----------------------------------------------------------


def test_a_script_that_never_started_ends_the_server(own_server: Any) -> None:
    server = own_server("echo.py", workers=0)

    fails_to_start(server)

    assert server.stopped == [3]
    report = server.front.supervision.final_report
    assert (report["stage"], report["message"]) == ("init()", "no such model")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SCOREHOST_ON_INIT_FAILURE": "hold"}, "the server stays up"),
        ({"SCOREHOST_RELOAD": "1"}, "nothing can be scored until the script is fixed and saved"),
    ],
)
def test_a_server_may_stay_up(own_server: Any, settings: dict[str, str], said: str) -> None:
    """Then probes and clients are told what failed, and where the log has the whole report."""
    server = own_server("echo.py", workers=0, settings=settings)

    fails_to_start(server)

    assert server.stopped == []
    assert server.lines("WARN", said)
    assert "ValueError: no such model" in server.log
    probe = server.get("/readyz").json()
    assert probe["state"] == "failed"
    failure = probe["last_failure"]
    reference = failure["reference"]
    said = f"Running init() failed with ValueError; see the log, reference {reference}."
    assert failure == {
        "stage": "init()", "error": "ValueError", "reference": reference, "message": said,
    }  # fmt: skip
    response = server.post(body=b"1")
    assert response.status == 503
    assert response.message == f"The entry script failed to start. {said}"
    assert "no such model" not in response.text
    assert server.lines("scorehost: echo.py did not start", f"(reference {reference})")


def test_the_report_is_one_record_of_a_json_log(own_server: Any) -> None:
    settings = {"SCOREHOST_ON_INIT_FAILURE": "hold", "SCOREHOST_LOG_FORMAT": "json"}
    server = own_server("echo.py", workers=0, settings=settings)

    fails_to_start(server)

    (record,) = [each for each in server.records() if "report" in each]
    assert (record["level"], record["report"]["stage"]) == ("ERROR", "init()")


@pytest.mark.parametrize("profile", [Profile(), Profile(log_style="azmlinfsrv")])
@pytest.mark.parametrize("form", ["text", "json"])
def test_references_lead_into_every_kind_of_log(
    own_server: Any, tmp_path: Path, form: str, profile: Profile
) -> None:
    """And into the termination message; whatever level is logged."""
    message = tmp_path / "termination-log"
    settings = {
        "SCOREHOST_ON_INIT_FAILURE": "hold",
        "SCOREHOST_LOG_FORMAT": form,
        "SCOREHOST_TERMINATION_LOG": str(message),
        "AZUREML_LOG_LEVEL": "CRITICAL",
    }
    held = own_server("echo.py", workers=0, settings=settings, profile=profile)
    fails_to_start(held)
    reference = held.get("/readyz").json()["last_failure"]["reference"]
    assert held.lines("did not start", reference)
    assert reference in message.read_text()

    bereft = own_server("echo.py", settings=settings, profile=profile)
    dies(bereft, bereft.workers[0])
    end = bereft.get("/readyz").json()["last_worker_end"]
    told, _, reference = end.partition("; see the log, reference ")
    assert told == "The process was killed (SIGKILL)"
    assert bereft.lines("worker 1 (pid 0): ", f"Reference {reference}")
    assert reference.rstrip(".") in message.read_text()


def test_of_workers_that_fail_alike_the_first_is_told(own_server: Any, tmp_path: Path) -> None:
    """Its report is the one in the log, and stays the termination message."""
    message = tmp_path / "termination-log"
    settings = {
        "SCOREHOST_ON_INIT_FAILURE": "hold", "SCOREHOST_TERMINATION_LOG": str(message),
    }  # fmt: skip
    server = own_server("echo.py", workers=0, settings=settings)
    fails_to_start(server)
    first = server.get("/readyz").json()
    fails_to_start(server, index=2)

    handle = starting(server, 3)
    handle.returncode = -9
    server.front.pool.process_ended(handle)
    handle.close()

    assert server.get("/readyz").json() == first
    assert first["last_failure"]["reference"] in message.read_text()


def test_why_a_process_could_not_be_started_is_for_the_log(
    own_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = connected(own_server("echo.py"))
    pool, member = server.front.pool, Member(2, 1)
    pool.lifecycle.roster.members.append(member)

    def start(handle: WorkerHandle, _role: str) -> None:
        handle.handed_over()
        handle.close()
        raise FileNotFoundError(2, "No such file or directory", "/of/this/machine/python")

    monkeypatch.setattr(pool._processes, "start", start)
    pool._carry_out([Start(member)])

    end = server.get("/readyz").json()["last_worker_end"]
    told, _, reference = end.partition("; see the log, reference ")
    assert told == "A scoring process could not be started"
    assert server.lines("/of/this/machine/python", f"Reference {reference}")


def test_a_start_shows_its_stage(own_server: Any) -> None:
    server = own_server("echo.py", workers=0)
    handle = starting(server)
    handle.stage = "init()"

    probe = server.get("/startupz")

    assert probe.status == 503
    assert probe.header("Retry-After") == "2"
    assert probe.json()["doing"].startswith("running init() for 3.")
    handle.close()


def test_what_counts_is_reloads_too(own_server: Any) -> None:
    server = own_server("echo.py")

    server.front.supervision.reloaded(True)
    server.front.supervision.reloaded(False)

    text = server.get("/metrics").text
    assert 'scorehost_reloads_total{result="succeeded"} 1.0' in text
    assert 'scorehost_reloads_total{result="failed"} 1.0' in text


# -- why a process ended --------------------------------------------------------------------


@pytest.fixture
def handle() -> Iterator[WorkerHandle]:
    made = WorkerHandle(Member(4, 1, pid=77))
    made.handed_over()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("code", "kill_reason", "reason", "said"),
    [
        (-11, "", "signal", "SIGSEGV"),
        (7, "", "exit", "status 7 while it handled request r-9"),
        (-9, "deadline", "deadline", "because run() exceeded SCORING_TIMEOUT_MS"),
        (-9, "start-timeout", "start-timeout", "not ready after 5 s (WORKER_TIMEOUT)"),
    ],
)
def test_an_end_is_explained(
    handle: WorkerHandle, tmp_path: Path, code: int, kill_reason: str, reason: str, said: str
) -> None:
    handle.kill_reason, handle.returncode = kill_reason, code
    handle.last_lines.append("its last line")
    settings = Settings(app_root=tmp_path, worker_timeout=5.0)

    end = explain_end(handle, settings, None, "r-9")

    assert end.reason == reason
    assert end.text.startswith("worker 4 (pid 77): ")
    assert said in end.text
    assert "its last line" in end.report["output"]


# -- what the front says of itself ----------------------------------------------------------


def test_models_are_in_the_metrics(own_server: Any) -> None:
    files = {"azureml-models/iris/2/model.pkl": "", "azureml-models/iris/10/model.pkl": ""}
    server = own_server("echo.py", files=files)

    text = server.get("/metrics").text

    assert 'scorehost_model_info{name="iris",version="10"} 1.0' in text
    assert "scorehost_workers_ready 1.0" in text


def test_metrics_without_their_library(own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's pins may have removed it: the log says how to get it back."""
    for name in [*sys.modules]:
        if name.partition(".")[0] == "prometheus_client":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    server = own_server("echo.py")

    response = server.get("/metrics")

    assert response.status == 500
    assert "The metrics are unavailable. See the log." in response.text
    assert server.lines("ERROR", "pip install --force-reinstall prometheus-client")


def test_pages_without_flask(own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = own_server("echo.py")
    monkeypatch.setitem(sys.modules, "flask", None)

    response = server.get("/docs")

    assert response.status == 500
    assert "The page could not be made. See the log." in response.text
    assert server.lines("ERROR", "scorehost.pages", "the page could not be made")


def test_probes_are_logged_when_that_is_wanted(own_server: Any) -> None:
    quiet = own_server("echo.py")
    loud = own_server("echo.py", settings={"SCOREHOST_LOG_PROBES": "true"})
    for server in (quiet, loud):
        server.get("/livez")
        server.post(body=b"[1]")

    assert not quiet.lines("GET /livez")
    assert quiet.lines("POST /score 200")
    assert loud.lines("GET /livez 200")


def test_the_access_log_as_json(own_server: Any) -> None:
    server = own_server("echo.py", settings={"SCOREHOST_LOG_FORMAT": "json"})

    server.post(body=b"[1]", headers={"x-request-id": "r-3"})
    server.post(body=b"{not json")

    fine, bad = [each for each in server.records() if each["logger"] == "scorehost.access"]
    assert (fine["method"], fine["path"], fine["status"]) == ("POST", "/score", 200)
    assert (fine["request_id"], fine["bytes_in"]) == ("r-3", 3)
    assert fine["total_ms"] >= 0
    assert (bad["status"], bad["run_ms"]) == (500, None)
