"""What is the highest rate this server sustains within a latency limit?

Users each send a fixed number of requests a second, so that their count sets the rate. The shape
raises the rate step by step until the 95th percentile passes the limit, a request fails or the
rate is not reached, then closes in on the highest rate that holds. ``make load`` runs it; against
a server of your own: ``make load URL=http://my-server:5001``.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, constant_throughput, events, task

from harness import figures
from harness.search import RateSearch, Step

PER_USER = 20.0
"""Requests a second of one user."""

USERS_PER_SECOND = 100
"""How quickly users are added; more than that disturbs the ones that are there."""


@events.init_command_line_parser.add_listener
def _options(parser: Any) -> None:
    parser.add_argument("--limit-ms", type=float, default=50, help="95th percentile not to exceed")
    parser.add_argument("--first-rate", type=float, default=100, help="requests/s to begin with")
    parser.add_argument("--highest-rate", type=float, default=20_000, help="never ask for more")
    parser.add_argument("--settle", type=float, default=2, help="seconds before a step counts")
    parser.add_argument("--step", type=float, default=5, help="seconds that count in each step")
    parser.add_argument("--route", default="/score", help="where to post")
    parser.add_argument("--request", default="", help="file with the JSON body to post")
    parser.add_argument("--steps-file", default="", help="write the steps here as JSON")


class Caller(FastHttpUser):
    """Posts the same body at a steady pace on one kept-alive connection."""

    wait_time = constant_throughput(PER_USER)
    body = b""

    def on_start(self) -> None:
        chosen = self.environment.parsed_options.request
        file = Path(chosen) if chosen else Path(__file__).parent / "workloads" / "request.json"
        self.body = file.read_bytes()
        gevent.sleep(random.uniform(0, 1 / PER_USER))  # else users added together call together

    @task
    def score(self) -> None:
        headers = {"Content-Type": "application/json"}
        self.client.post(self.environment.parsed_options.route, data=self.body, headers=headers)


class Window:
    """What was answered since the current step began to count."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what came before."""
        self.started = time.perf_counter()
        self.client_seconds = time.process_time()
        self.latencies: list[float] = []
        self.failures = 0

    def note(self, response_time: float, exception: BaseException | None, **_: object) -> None:
        """One answer, or one failure."""
        if exception is None:
            self.latencies.append(response_time)
        else:
            self.failures += 1

    def step(self, wanted: float) -> Step:
        """Sum up."""
        taken = time.perf_counter() - self.started
        latency = figures.percentile(self.latencies, 0.95) if self.latencies else float("inf")
        return Step(wanted, len(self.latencies) / taken, latency, self.failures)

    @property
    def client_share(self) -> float:
        """How busy this process was: near 1, the client is the limit and not the server."""
        return (time.process_time() - self.client_seconds) / (time.perf_counter() - self.started)


class HighestRate(LoadTestShape):
    """Settle, count, decide; until the search is finished."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window()
        self.search: RateSearch | None = None
        self.shares: list[float] = []
        self._next_change = 0.0
        self._counting = False

    def tick(self) -> tuple[int, float] | None:
        """Called by locust about once a second."""
        options = self.runner.environment.parsed_options
        if self.search is None:
            self.search = RateSearch(
                options.first_rate, options.limit_ms, options.highest_rate, PER_USER
            )
            events.request.add_listener(self.window.note)
            self._next_change = self.get_run_time() + options.settle + self._ramp()
        elif self.get_run_time() >= self._next_change:
            self._turn(options)
        if self.search.finished:
            self._finish(options)
            return None
        return round(self.search.rate / PER_USER), USERS_PER_SECOND

    def _turn(self, options: Any) -> None:
        """Begin to count, or end a step and choose the next rate."""
        assert self.search is not None
        if self._counting:
            self.shares.append(self.window.client_share)
            self.search.report(self.window.step(self.search.rate))
        else:
            self.window.begin()
        self._counting = not self._counting
        self._next_change = self.get_run_time() + (
            options.step if self._counting else options.settle + self._ramp()
        )

    def _ramp(self) -> float:
        """Seconds until the users of the next rate are there."""
        assert self.search is not None
        users = self.search.rate / PER_USER
        return abs(users - self.get_current_user_count()) / USERS_PER_SECOND

    def _finish(self, options: Any) -> None:
        assert self.search is not None
        best = self.search.best
        steps = [
            {**step.__dict__, "kept": step.kept(options.limit_ms), "client_share": share}
            for step, share in zip(self.search.steps, self.shares, strict=True)
        ]
        for step in steps:
            print(
                f"{step['wanted']:8,.0f}/s asked {step['achieved']:8,.0f}/s answered "
                f"p95 {step['latency_ms']:7.1f} ms, {step['failures']} failed, client "
                f"{step['client_share']:.0%} busy: {'kept' if step['kept'] else 'missed'}"
            )
        shown = f"{best.achieved:,.0f} requests/s" if best else "none of the rates tried"
        print(f"Highest rate with a 95th percentile of at most {options.limit_ms:g} ms: {shown}")
        if any(step["client_share"] > 0.9 for step in steps if not step["kept"]):
            print("The client was busy throughout a missed step: the server may well do more.")
        if options.steps_file:
            found = {"limit_ms": options.limit_ms, "best": best and best.__dict__, "steps": steps}
            Path(options.steps_file).write_text(json.dumps(found), "utf-8")
