"""How much work does a server get done when more clients ask than it has room for?

Every client sends its next request as soon as it has an answer, a refusal included. The queue of
one worker holds 100: 64 clients are never refused, and 200, 500 and 1,000 are two, five and ten
times what it holds. Goodput is the right answers of a second. Beside the load there are a probe of
``/livez`` on a connection of its own, and polite clients that wait as ``Retry-After`` says: how
long it takes until they are served. Servers that do not refuse let everybody wait.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import figures, machine, payloads, results, table, wrk
from harness.chart import Line, line_chart
from harness.servers import LOOPBACK, ServerSpec, running
from peers import catalogue
from peers.environments import prepare

LEVELS = (64, 200, 500, 1000)
PROBE_EVERY = 0.01
POLITE = 5
HEALTH = {"azureml-inference-server-http": "/", "fastapi": "/openapi.json"}
"""What is asked for as a probe, where it is not ``/livez``; any cheap answer of the server."""


@dataclass(frozen=True)
class Sample:
    """What one server did with so many clients."""

    server: str
    clients: int
    goodput: float
    refused: float
    failed: int
    probe_p50_ms: float
    probe_p99_ms: float
    polite_p50_s: float


def repeat(
    work: Callable[[], None], pause: float, times: list[float]
) -> Callable[[threading.Event], None]:
    """Do something again and again, and note how long each took."""

    def loop(stop: threading.Event) -> None:
        while not stop.wait(pause):
            began = time.perf_counter()
            with contextlib.suppress(OSError, http.client.HTTPException):
                work()
                times.append(time.perf_counter() - began)

    return loop


def prober(port: int, path: str) -> Callable[[], None]:
    """A probe on a connection of its own, which is made again where the server closes it."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=20)

    def probe() -> None:
        if connection.sock is None:
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    return probe


def polite(port: int, stop: threading.Event) -> Callable[[], None]:
    """A client that tries until it is served, and waits between as it is told."""

    def ask() -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection(LOOPBACK, port, timeout=20)
            with contextlib.closing(connection):
                connection.request(
                    "POST", "/score", payloads.GUIDE.body, {"Content-Type": "application/json"}
                )
                response = connection.getresponse()
                response.read()
            if response.status == 200:
                return
            stop.wait(float(response.headers.get("Retry-After", 1)))
        raise OSError("it was not served before the end")

    return ask


@contextlib.contextmanager
def beside(*loops: Callable[[threading.Event], None], stop: threading.Event) -> Iterator[None]:
    """Do other things meanwhile."""
    threads = [threading.Thread(target=each, args=(stop,)) for each in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def take(spec: ServerSpec, clients: int, seconds: int, cores: str) -> Sample:
    """Measure one server with so many clients, after a second of the same load."""
    machine.wait_until_quiet()
    probes: list[float] = []
    waits: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running(spec, payloads.GUIDE, Path(folder) / "log", cores=cores) as server,
    ):
        wrk.drive(server.port, payloads.GUIDE, 1, clients)
        stop = threading.Event()
        path = HEALTH.get(spec.name, "/livez")
        with beside(
            repeat(prober(server.port, path), PROBE_EVERY, probes),
            *(repeat(polite(server.port, stop), 0.1, waits) for _ in range(POLITE)),
            stop=stop,
        ):
            output, _ = wrk.drive(server.port, payloads.GUIDE, seconds, clients)
    found = wrk.read(output)
    errors, took = found["errors"], found["us"] / 1e6
    return Sample(
        spec.name,
        clients,
        goodput=(found["requests"] - errors["status"]) / took,
        refused=errors["status"] / took,
        failed=sum(errors[name] for name in ("connect", "read", "write", "timeout")),
        probe_p50_ms=1000 * figures.percentile(probes or [20.0], 0.5),
        probe_p99_ms=1000 * figures.percentile(probes or [20.0], 0.99),
        polite_p50_s=figures.percentile(waits or [float(seconds)], 0.5),
    )


def measure(specs: Sequence[ServerSpec], plan: Plan) -> list[list[Sample]]:
    """Take all levels of all servers in turn, in both directions."""
    machine.pin_to_client()
    names = [f"{spec.name}:{clients}" for spec in specs for clients in plan.levels]
    by_name = {spec.name: spec for spec in specs}
    rounds = []
    for turn, order in enumerate(figures.alternation(names, plan.rounds), 1):
        samples = []
        for name in order:
            server, _, clients = name.rpartition(":")
            samples.append(take(by_name[server], int(clients), plan.seconds, plan.cores))
            print(f"round {turn}/{plan.rounds}: {samples[-1]}", file=sys.stderr, flush=True)
        rounds.append(samples)
    return rounds


@dataclass(frozen=True)
class Plan:
    """How much is measured, and how; recorded with the result."""

    rounds: int = 5
    seconds: int = 4
    levels: tuple[int, ...] = LEVELS
    cores: str = "0"
    script: str = "score.py"


def column(rounds: Sequence[Sequence[Sample]], server: str, clients: int, name: str) -> list[float]:
    """One figure of one server at one level, round by round."""
    return [
        float(getattr(sample, name))
        for samples in rounds
        for sample in samples
        if (sample.server, sample.clients) == (server, clients)
    ]


def as_table(rounds: Sequence[Sequence[Sample]], specs: Sequence[ServerSpec], plan: Plan) -> str:
    """Goodput with more clients, and its share of what the fewest get."""
    header = ["server", "clients", "goodput/s", "of the fewest's", "refused/s", "failed",
              "probe p50 ms", "probe p99 ms", "polite client served in s"]  # fmt: skip
    rows = []
    for spec in specs:
        base = column(rounds, spec.name, plan.levels[0], "goodput")
        for clients in plan.levels:
            goodput = column(rounds, spec.name, clients, "goodput")
            rows.append([
                spec.title,
                f"{clients:,}",
                figures.spread(goodput).text(),
                figures.ratios(goodput, base).text(2),
                *(
                    figures.spread(column(rounds, spec.name, clients, name)).text(digits)
                    for name, digits in (
                        ("refused", 0), ("failed", 0), ("probe_p50_ms", 1), ("probe_p99_ms", 1),
                        ("polite_p50_s", 2),
                    )
                ),
            ])  # fmt: skip
    return table.markdown(header, rows)


def as_chart(rounds: Sequence[Sequence[Sample]], specs: Sequence[ServerSpec], plan: Plan) -> str:
    """Goodput over the number of clients."""
    lines = [
        Line(
            spec.title,
            [
                figures.spread(column(rounds, spec.name, clients, "goodput")).median
                for clients in plan.levels
            ],
        )
        for spec in specs
    ]
    return line_chart(
        "Right answers a second, when clients try again at once",
        f"{plan.script}, one worker, server on core {plan.cores}; its queue holds 100 requests",
        f"Below: clients. Medians of {plan.rounds} alternating runs of {plan.seconds} s.",
        [f"{clients:,}" for clients in plan.levels],
        lines,
    )


def with_script(name: str, plan: Plan) -> ServerSpec:
    """A server with the plan's script, where it can be told one."""
    return catalogue.ours(plan.script) if name == catalogue.OURS_NAME else catalogue.server(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", help="which servers; scorehost when none is named")
    parser.add_argument("--rounds", type=int, default=Plan.rounds)
    parser.add_argument("--seconds", type=int, default=Plan.seconds)
    parser.add_argument("--clients", type=int, nargs="+", default=LEVELS)
    parser.add_argument("--cores", default=Plan.cores, help="the server's, as taskset has them")
    parser.add_argument("--script", default=Plan.script, help="of scorehost, in workloads/")
    parser.add_argument(
        "--source", type=Path, help="another source tree of scorehost's, as 'before'"
    )
    parser.add_argument("--name", default="overload", help="name of the result files")
    options = parser.parse_args()
    names = options.servers or [catalogue.OURS_NAME]
    prepare(names)
    plan = Plan(
        options.rounds, options.seconds, tuple(options.clients), options.cores, options.script
    )
    specs = [with_script(name, plan) for name in names]
    if options.source:
        before = catalogue.ours(plan.script, source=options.source)
        specs.append(ServerSpec(**{**vars(before), "name": "before", "title": "before"}))
    os.environ.setdefault("SCOREHOST_ACCESS_LOG", "true")
    rounds = measure(specs, plan)
    shown = as_table(rounds, specs, plan)
    print(shown)
    samples = [
        {"round": turn, **asdict(sample)}
        for turn, found in enumerate(rounds, 1)
        for sample in found
    ]
    file = results.write(
        options.name, __doc__ or "", specs, {"load": asdict(plan), "samples": samples}
    )
    file.with_suffix(".md").write_text(shown, "utf-8")
    file.with_suffix(".svg").write_text(as_chart(rounds, specs, plan), "utf-8")
    print(f"Written: {file}, and the table and chart beside it\n")


if __name__ == "__main__":
    main()
