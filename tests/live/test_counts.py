"""What ``/metrics`` counts is what the clients count, to the last one."""

from __future__ import annotations

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.client import ConnectionEnded
from support.processes import tree
from support.server import LiveServer, StartServer
from support.wait import wait_until

SCRIPT = """
import json, os, time
def init():
    pass
def run(data):
    value = json.loads(data)
    if value == 'raise':
        raise ValueError('as asked')
    if value == 'die':
        os._exit(9)
    if value == 'stream':
        return (str(n) for n in range(3))
    if isinstance(value, float):
        time.sleep(value)
    return {'pid': os.getpid()}
"""


class Numbers:
    """One reading of ``/metrics``."""

    def __init__(self, server: LiveServer) -> None:
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(server.get("/metrics").text)
            for sample in family.samples
        }

    def get(self, name: str, **labels: str) -> float:
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def statuses(self) -> Counter[int]:
        """Scoring requests by status."""
        found: Counter[int] = Counter()
        for (name, labels), value in self.samples.items():
            given = dict(labels)
            if name == "scorehost_requests_total" and given["route"] == "score" and value:
                found[int(given["status"])] += int(value)
        return found

    def buckets(self, name: str) -> list[float]:
        """A histogram's buckets in order."""
        found = [
            (float(dict(labels)["le"]), value)
            for (sample, labels), value in self.samples.items()
            if sample == f"{name}_bucket"
        ]
        return [value for _, value in sorted(found)]


def test_metrics_equal_the_clients_counts_through_recycling(own_server: StartServer) -> None:
    """Two workers, at least three recycles, every kind of answer."""
    settings = {
        "WORKER_COUNT": "2",
        "SCOREHOST_MAX_REQUESTS": "150",
        "SCOREHOST_MAX_BODY_BYTES": "1000",
        "SCOREHOST_MAX_QUEUE_LENGTH": "1000",
    }
    server = own_server(files={"main.py": SCRIPT}, settings=settings)
    bodies = [b'"fine"'] * 20 + [b'"raise"', b"\xff", b'"stream"', b"[" + b" " * 2000 + b"]"]

    def client(number: int) -> list[tuple[int, int, int, bool]]:
        found = []
        with server.connect() as connection:
            for body in bodies[number % 3 :] + bodies[: number % 3]:
                large = len(body) > 1000
                if large:  # refused before it is read: the connection is over
                    response = server.post(body=body)
                else:
                    response = connection.request("POST", "/score", body=body)
                ran = response.header("x-ms-run-fn-exec-ms") is not None
                found.append((response.status, 0 if large else len(body), len(response.body), ran))
        return found

    counted: Counter[int] = Counter()
    received = sent = returned = rounds = 0
    with ThreadPoolExecutor(8) as clients:
        while len(server.lines("is being replaced")) < 3 or rounds < 3:
            for one in clients.map(client, range(8)):
                counted.update(status for status, *_ in one)
                received += sum(size for _, size, _, _ in one)
                sent += sum(size for _, _, size, _ in one)
                returned += sum(ran for *_, ran in one)
            rounds += 1

    numbers = Numbers(server)
    total = counted.total()
    assert numbers.statuses() == counted
    assert set(counted) == {200, 400, 413, 500}
    assert numbers.get("scorehost_request_seconds_count") == total
    assert numbers.get("scorehost_run_seconds_count") == returned
    assert numbers.get("scorehost_request_bytes_sum") == received
    assert numbers.get("scorehost_response_bytes_sum") == sent
    assert numbers.get("scorehost_response_bytes_count") == total
    assert numbers.get("scorehost_queue_wait_seconds_count") == total - counted[413]
    for name in ("request", "run", "queue_wait"):
        buckets = numbers.buckets(f"scorehost_{name}_seconds")
        assert all(before <= after for before, after in pairwise(buckets))
        assert buckets[-1] == numbers.get(f"scorehost_{name}_seconds_count")
    assert len(server.lines("scorehost.access")) == total
    assert numbers.get("scorehost_workers_ready") == 2
    for name in ("requests_in_flight", "queue_length", "queue_bytes", "utilisation"):
        assert numbers.get(f"scorehost_{name}") == 0


def test_times_in_the_histograms_are_the_times_that_passed(own_server: StartServer) -> None:
    server = own_server(files={"main.py": SCRIPT})

    with ThreadPoolExecutor(3) as clients:  # they queue: 0, 0.2 and 0.4 s
        assert len(list(clients.map(server.score, [0.2] * 3))) == 3

    numbers = Numbers(server)
    assert numbers.get("scorehost_run_seconds_sum") == pytest.approx(0.6, abs=0.15)
    assert numbers.get("scorehost_queue_wait_seconds_sum") == pytest.approx(0.6, abs=0.3)
    assert numbers.get("scorehost_request_seconds_sum") == pytest.approx(1.2, abs=0.4)


def test_deaths_are_counted_by_reason(own_server: StartServer) -> None:
    settings = {"SCORING_TIMEOUT_MS": "300", "SCOREHOST_INTERRUPT_GRACE": "0.1"}
    server = own_server("hangs.py", settings=settings)

    assert server.post(json="c").status == 504
    server.wait_for_line("killing and replacing it")
    server.wait_ready()
    os.kill(server.score("fast")["pid"], signal.SIGKILL)
    server.wait_for_line("SIGKILL")
    server.wait_ready()

    numbers = Numbers(server)
    assert numbers.get("scorehost_worker_deaths_total", reason="deadline") == 1
    assert numbers.get("scorehost_worker_deaths_total", reason="signal") == 1
    assert numbers.statuses() == {200: 1, 504: 1}


def test_a_worker_that_ends_itself_is_counted_with_its_request(own_server: StartServer) -> None:
    server = own_server(files={"main.py": SCRIPT})

    assert server.post(json="die").status == 500
    server.wait_ready()

    numbers = Numbers(server)
    assert numbers.get("scorehost_worker_deaths_total", reason="exit") == 1
    assert numbers.statuses() == {500: 1}


def test_a_client_that_left_is_counted_as_such(own_server: StartServer) -> None:
    """499: nobody has seen that status, and it is no error of the server's."""
    server = own_server("gated.py")
    with server.connect() as inside:
        inside.send_request("POST", "/score", body=b'"inside"')
        server.wait_for_file("inside.begun")
        gone = server.connect()
        gone.send_request("POST", "/score", body=b'"gone"')
        wait_until(lambda: Numbers(server).get("scorehost_queue_length") == 1, what="it waits")
        numbers = Numbers(server)
        assert numbers.get("scorehost_requests_in_flight") == 1
        assert numbers.get("scorehost_utilisation") == 2
        gone.reset()

        wait_until(lambda: Numbers(server).statuses() == {499: 1}, what="it is counted")
        assert Numbers(server).get("scorehost_utilisation") == 1
        server.make("inside.go")
        assert inside.read_response().status == 200
    assert Numbers(server).statuses() == {200: 1, 499: 1}


def test_what_a_worker_finishes_while_it_retires_is_in_flight_too(
    own_server: StartServer,
) -> None:
    server = own_server("gated.py")
    with server.connect() as inside:
        inside.send_request("POST", "/score", body=b'"inside"')
        server.wait_for_file("inside.begun")
        server.send_signal(signal.SIGHUP)
        server.wait_for_line("reloaded:")

        assert Numbers(server).get("scorehost_requests_in_flight") == 1
        server.make("inside.go")
        assert inside.read_response().status == 200
    assert Numbers(server).get("scorehost_requests_in_flight") == 0


def test_probes_and_unknown_paths_have_routes_of_their_own(own_server: StartServer) -> None:
    """And a scanner that tries a thousand paths makes one label, not a thousand."""
    server = own_server("echo.py")
    before = Numbers(server).get("scorehost_requests_total", route="livez", status="200")
    for _ in range(3):
        server.get("/livez")
    for number in range(5):
        server.get(f"/secret/{number}")

    numbers = Numbers(server)
    assert numbers.get("scorehost_requests_total", route="livez", status="200") == before + 3
    assert numbers.get("scorehost_requests_total", route="other", status="404") == 5
    assert numbers.statuses() == {}


def test_build_and_model_are_told(own_server: StartServer) -> None:
    files = {"azureml-models/risk/3/model.txt": "x"}
    server = own_server("echo.py", files=files, settings={"SERVICE_VERSION": "7"})

    text = server.get("/metrics").text

    [build] = [line for line in text.splitlines() if line.startswith("scorehost_build_info{")]
    assert 'entry_script="echo.py"' in build
    assert 'service_version="7"' in build
    [model] = [line for line in text.splitlines() if line.startswith("scorehost_model_info{")]
    assert 'name="risk"' in model
    assert 'version="3"' in model


def test_counts_survive_a_reload_and_start_anew_with_the_front(own_server: StartServer) -> None:
    server = own_server("echo.py")
    assert server.score(1) == 1
    server.send_signal(signal.SIGHUP)
    server.wait_for_line("reloaded:")
    assert server.score(2) == 2
    assert Numbers(server).statuses() == {200: 2}
    front = next(each.pid for each in tree(server.pid) if each.parent == server.pid)

    os.kill(front, signal.SIGKILL)

    wait_until(lambda: _scores(server), what="it scores again")
    assert Numbers(server).statuses()[200] == 1


def _scores(server: LiveServer) -> bool:
    try:
        return server.post(json=1, timeout=2.0).status == 200
    except (ConnectionError, ConnectionEnded, TimeoutError):
        return False
