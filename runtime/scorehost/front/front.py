"""The front: what joins connections, routes, queue, workers and observers.

Everything here runs on one event loop and returns at once; whatever takes long happens in a
scoring process, or aside on a thread.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from scorehost.diagnosis.cgroup import read_limits
from scorehost.errors import NotReady, RequestError, SlowClient
from scorehost.front.background import Background
from scorehost.front.endpoints import Endpoints
from scorehost.front.http import routes
from scorehost.front.http.byte_budget import ByteBudget, Refusal
from scorehost.front.http.connection import Connection
from scorehost.front.http.exchange import DONE, WAITING, WRITTEN, Exchange
from scorehost.front.http.head_cache import HeadCache
from scorehost.front.http.ids import id_maker
from scorehost.front.http.responses import JSON, Answers
from scorehost.front.observe.access_log import AccessLog
from scorehost.front.observe.log import Log
from scorehost.front.observe.metrics import Metrics
from scorehost.front.observe.observer import Observer
from scorehost.front.pages.runner import PagesRunner
from scorehost.front.scheduling.deadlines import Deadlines
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.scheduling.queue_limits import QueueLimits
from scorehost.front.scheduling.results import Results
from scorehost.front.status import Numbers, Status
from scorehost.front.workers.capacity import plan_workers
from scorehost.front.workers.handle import WorkerHandle
from scorehost.front.workers.launcher import Launcher
from scorehost.front.workers.pool import Pool
from scorehost.front.workers.processes import request_inside
from scorehost.front.workers.termination_message import INTERVAL, termination_message
from scorehost.profile import Profile
from scorehost.settings import Settings
from scorehost.wire import answers

if TYPE_CHECKING:
    from flask import Flask

CLIENT_LEFT: Final = 499
"""What nginx logs for a client that closed its connection; no client ever sees it."""
_PLAIN_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})
_SCORE_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST")
_OBSERVED_AFTER: Final = 0.02
"""Seconds that a finished exchange waits for company on its way to metrics and log."""


class Front:
    """One server, without its sockets.

    Parameters
    ----------
    settings, profile : what it was told.
    environ : the environment of the scoring processes.
    log : where events go.
    loop : the running event loop.
    stop : called when the server must end, with its exit status.
    """

    def __init__(
        self,
        settings: Settings,
        profile: Profile,
        environ: dict[str, str],
        log: Log,
        loop: asyncio.AbstractEventLoop,
        stop: Callable[[int], None],
    ) -> None:
        self.settings = settings
        self.log = log
        self.now = time.monotonic
        self.soon = loop.call_soon
        self.later = loop.call_later
        self.make_id = id_maker()
        self.routes = routes.Routes()
        self.head_cache = HeadCache()
        self.known_head = self.head_cache.get
        self.answers = Answers(settings, profile.server_version)
        self.budget = ByteBudget(settings.max_queue_bytes)
        self._limits = QueueLimits(settings)
        self.connections: set[Connection] = set()
        self.draining = False
        self.speaks_tls = settings.tls_certificate is not None
        self.idle_timeout = settings.idle_timeout
        self._loop = loop
        self._stop = stop
        plan = plan_workers(settings, read_limits())
        log.info(plan.explanation)
        self.dispatcher = Dispatcher(settings, self._limits, self, self)
        self.launcher = Launcher(settings, environ, plan.cpus, plan.count)
        self._most_connections = min(settings.max_connections, self.launcher.connections())
        self.pool = Pool(settings, plan, loop, self.dispatcher, self.launcher, log, self)
        self.status = Status(self.pool, self.dispatcher)
        self.background = Background(self.from_thread)
        self.pages = PagesRunner(self)
        self.termination_message = termination_message(
            settings.termination_log, self._requests_inside
        )
        self.metrics = Metrics(
            Numbers(settings, self.pool, self.dispatcher, self.budget, self.connections)
        )
        self._finished: list[Exchange] = []
        self._observers: list[Observer] = [self.metrics]
        if settings.access_log and log.enabled(logging.INFO):
            self._observers.append(AccessLog(log, probes=settings.log_probes))
        log.before_event = self.observe
        self._results = Results(self, self.answers, self.dispatcher, self.pool, log, loop)
        self._deadlines = Deadlines(settings, log, loop.call_later)
        self.endpoints = tell = Endpoints(self)
        self._handlers: dict[str, Callable[[Exchange], None]] = {
            routes.SCORE: self._score,
            routes.ROOT: tell.root,
            routes.LIVE: tell.live,
            routes.READY: tell.ready,
            routes.STARTUP: tell.startup,
            routes.METRICS: tell.metrics,
            routes.SWAGGER: tell.swagger,
            routes.PAGES: self.pages.serve,
            routes.OTHER: tell.nothing,
        }

    more_pages: Callable[[Flask], None] | None = None
    """Adds pages to those that every server has."""

    def start(self) -> None:
        """Start the workers and the once-a-second round."""
        gc.freeze()  # what is here now stays; requests leave no cycles behind
        gc.set_threshold(50_000)
        self.pool.start()
        self.later(1.0, self._tick)
        if self.termination_message.needed:
            self._look_at_memory()

    def _look_at_memory(self) -> None:
        self.later(INTERVAL, self._look_at_memory)
        self.termination_message.look()

    def _requests_inside(self) -> str:
        """In words, for the termination message."""
        inside = [
            f"request {request_id} (worker {worker.index})"
            for worker in self.pool.workers
            if (request_id := request_inside(worker))
        ]
        return ", ".join(inside)

    def _tick(self) -> None:
        """Once a second: the date, time limits of connections, memory of workers."""
        self.later(1.0, self._tick)
        self.answers.tick()
        now = self.now()
        for connection in list(self.connections):
            if connection.deadline and connection.deadline < now:
                connection.expire()
        self.pool.check_memory()

    def from_thread(self, call: Callable[..., object], *args: object) -> None:
        """Run something on the event loop, called from another thread."""
        self._loop.call_soon_threadsafe(call, *args)

    def begin_draining(self) -> None:
        """From now on every connection ends with its next answer, which says so."""
        self.draining = True
        for connection in self.connections:
            connection.last_answer_closes()

    def unanswered(self) -> int:
        """Connections with a request that has no answer yet."""
        return sum(1 for connection in self.connections if not connection.idle)

    def close(self) -> None:
        """Let go of what outlives the loop."""
        self.observe()
        self.background.close()

    # -- connections --------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A client has connected; past the limit the one idle longest has to go."""
        self.connections.add(connection)
        if len(self.connections) > self._most_connections:
            idle = [each for each in self.connections if each.idle and each is not connection]
            if idle:
                min(idle, key=lambda each: each.silent_since).close()

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)

    def client_too_slow(self, connection: Connection, *, headers: bool) -> None:
        """The rest of a request did not come in time."""
        part, limit, name = (
            ("headers", self.settings.header_timeout, "SCOREHOST_HEADER_TIMEOUT")
            if headers
            else ("body", self.settings.body_timeout, "SCOREHOST_BODY_TIMEOUT")
        )
        connection.refuse_unread(
            SlowClient(f"The {part} of the request did not arrive within {limit:g} s ({name}).")
        )

    # -- an exchange's life -------------------------------------------------------------------

    def serve(self, exchange: Exchange) -> None:
        """A whole request is there: answer it, now or later."""
        if exchange.error is not None:
            self.fail(exchange, exchange.error)
        elif exchange.connection.health_only and exchange.route not in routes.PROBES:
            self.fail(exchange, routes.no_such_route(exchange))
        elif exchange.method == b"OPTIONS" and self.answers.is_preflight(exchange):
            self.reply(exchange, self.answers.preflight(exchange))
        elif exchange.route in routes.READ_ONLY and exchange.method not in (b"GET", b"HEAD"):
            self.endpoints.read_only(exchange)
        else:
            self._handlers[exchange.route](exchange)

    def reply(self, exchange: Exchange, data: bytes) -> None:
        """Send a complete answer."""
        exchange.connection.write(data)
        self.finish(exchange)

    def fail(self, exchange: Exchange, error: RequestError) -> None:
        """Answer with an error; a stream that has begun can only be cut."""
        if exchange.state == DONE:
            return
        if exchange.streaming:
            self.cut(exchange)
            return
        exchange.reason = type(error).__name__
        retry_after = body = None
        if isinstance(error, Refusal):
            body = {"message": str(error), **error.numbers}
            retry_after = self._retry_after()
        elif isinstance(error, NotReady):
            retry_after = self.status.retry_after()
            body = {"message": str(error), **self.status.document()}
        self.reply(
            exchange, self.answers.error(exchange, error, retry_after=retry_after, body=body)
        )

    def _retry_after(self) -> float:
        dispatcher = self.dispatcher
        return self._limits.retry_after(dispatcher.waiting, dispatcher.allowed, dispatcher.service)

    def cut(self, exchange: Exchange) -> None:
        """End a stream so that no client takes it for complete."""
        exchange.keep_alive = False
        connection = exchange.connection
        connection.reset()
        self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """The last byte of the answer is on its way, or its client has left."""
        exchange.state = DONE
        exchange.ended = now = self.now()
        if exchange.held:
            self.budget.held -= exchange.held
            exchange.held = 0
            exchange.body = b""
            if exchange.body_file >= 0:
                exchange.release()
        finished = self._finished
        finished.append(exchange)
        if len(finished) == 1:
            self.later(_OBSERVED_AFTER, self.observe)
        exchange.connection.finished(exchange, now)

    def observe(self) -> None:
        """Tell metrics and access log what is over; they see it late, but before anyone asks."""
        finished, self._finished = self._finished, []
        if not finished:
            return
        for observer in self._observers:
            try:
                observer.finished(finished)
            except Exception as error:  # noqa: PERF203 - one feature must not break another
                self.log.error(f"{type(observer).__name__} failed: {error!r}")

    def give_up_waiting(self, exchange: Exchange) -> bool:
        """Take a request out of the queue; False when a worker may have begun it."""
        if self.dispatcher.is_first(exchange):
            return False
        if exchange.state in (WAITING, WRITTEN) and self.dispatcher.remove(exchange):
            exchange.status = CLIENT_LEFT
            self.finish(exchange)
            return True
        return False

    def abandon(self, exchange: Exchange) -> None:
        """The client has left: what no worker has begun is not scored."""
        if exchange.state == DONE:
            return
        if exchange.state in (WAITING, WRITTEN) and not self.dispatcher.remove(exchange):
            self._leave_to_worker(exchange)
        exchange.status = CLIENT_LEFT
        self.finish(exchange)

    def _leave_to_worker(self, exchange: Exchange) -> None:
        """A worker is in it: a stream is ended there, anything else runs out unheard."""
        for worker in self.pool.workers:
            if worker.outstanding and worker.outstanding[0] is exchange and exchange.streaming:
                self._results.resume(worker)
                worker.interrupt(exchange.number)

    # -- scoring ------------------------------------------------------------------------------

    def _score(self, exchange: Exchange) -> None:
        dispatcher = self.dispatcher
        if not dispatcher.serving and not self.pool.will_serve():
            self.fail(exchange, NotReady(self.status.not_ready()))
        elif exchange.method in _PLAIN_METHODS or self._raw():
            dispatcher.submit(exchange)
        elif exchange.method == b"OPTIONS":
            self.endpoints.options(exchange, _SCORE_METHODS)
        else:
            self.endpoints.not_allowed(exchange, _SCORE_METHODS)

    def _raw(self) -> bool:
        return self.pool.description.get("style") == "raw"

    def failure_body(
        self, exchange: Exchange, stage: str, message: str, detail: dict[str, Any]
    ) -> tuple[bytes, str]:
        """What the client sees of a failure: in production only the contract's message."""
        del exchange, stage, detail
        return orjson.dumps({"message": message}), JSON

    # -- the dispatcher's and the pool's calls -----------------------------------------------

    def answered(self, worker: WorkerHandle, found: Sequence[answers.AnswerFrame]) -> None:
        """A worker has answered, or sent parts of an answer."""
        self._results.take(worker, found)

    def expired(self, worker: WorkerHandle, exchange: Exchange) -> None:
        """The deadline has passed and the client has its answer: free the worker."""
        self._results.resume(worker)  # it may stand in a chunk that nobody takes
        self._deadlines.expired(worker, exchange.number, exchange.request_id.decode("latin-1"))

    def start_failed(self, report: dict[str, Any]) -> None:
        """The script has failed before anything could score."""
        if self.settings.on_init_failure == "hold":
            self.log_report(report)
            self.log.warning("the server stays up, live but not ready, as it was told to")
            return
        self.pool.kill_all()
        self.final_report = report
        self._stop(3)

    final_report: dict[str, Any] | None = None

    def log_report(self, document: dict[str, Any]) -> None:
        """Log the whole framed report, and leave it where Kubernetes looks."""
        from scorehost.diagnosis.report import Report

        report = Report.from_dict(document)
        text = report.text(ascii_only=True)  # logs pass through many hands
        self.termination_message.died(report.termination_message())
        if self.log.is_json:
            self.log.error(text, report=document)
        else:
            self.log.raw(text)

    def nobody_serves(self) -> None:
        """No worker can score and the last start failed: nobody should wait for one."""
        self.dispatcher.refuse_all(NotReady(self.status.not_ready()))

    def worker_ended(self, reason: str, text: str) -> None:
        """Count a death, and leave the reason where Kubernetes looks."""
        self.termination_message.died(text)
        for observer in self._observers:
            observer.worker_ended(reason)

    def reloaded(self, succeeded: bool) -> None:
        """Count a reload."""
        for observer in self._observers:
            observer.reloaded(succeeded)
