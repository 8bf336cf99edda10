"""The front: what joins connections, routes, queue, workers and observers.

Everything here runs on one event loop and returns at once; whatever takes long happens in a
scoring process, or on the pages' thread.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import orjson

from scorehost.diagnosis.cgroup import read_limits
from scorehost.errors import MethodNotAllowed, NotReady, RequestError, SlowClient
from scorehost.front import routes
from scorehost.front.admission import Admission, Refusal
from scorehost.front.answers import JSON, TEXT, Answers
from scorehost.front.capacity import plan_workers
from scorehost.front.connection import Connection
from scorehost.front.correlation import id_maker
from scorehost.front.dispatch import Dispatcher
from scorehost.front.exchange import DONE, WAITING, WRITTEN, Exchange
from scorehost.front.handle import WorkerHandle
from scorehost.front.heads import Heads
from scorehost.front.last_words import INTERVAL, last_words
from scorehost.front.launcher import Launcher
from scorehost.front.numbers import Numbers
from scorehost.front.observe.access_log import AccessLog
from scorehost.front.observe.log import SCRIPT, Log
from scorehost.front.observe.metrics import Metrics
from scorehost.front.observe.observer import Observer
from scorehost.front.pages.runner import PagesRunner
from scorehost.front.pool import Pool
from scorehost.front.probes import Status
from scorehost.front.processes import request_inside
from scorehost.messages import RUN_FAILED_MESSAGE
from scorehost.profile import Profile
from scorehost.settings import Settings
from scorehost.worker import frames

if TYPE_CHECKING:
    from flask import Flask

CLIENT_LEFT: Final = 499
"""What nginx logs for a client that closed its connection; no client ever sees it."""
SWAGGER_VERSIONS: Final = ("2", "3", "3.1")
_PLAIN_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})
_STACKS_TAKE: Final = 0.1


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
        self.heads = Heads()
        self.answers = Answers(settings, profile.server_version)
        self.admission = self.make_admission(settings)
        self.connections: set[Connection] = set()
        self.draining = False
        self.speaks_tls = settings.tls_certificate is not None
        self.idle_timeout = settings.idle_timeout
        self._loop = loop
        self._stop = stop
        plan = plan_workers(settings, read_limits())
        log.info(plan.explanation)
        self.dispatcher = Dispatcher(settings, self.admission, self, self)
        self.launcher = Launcher(settings, environ, plan.cpus, plan.count)
        self._most_connections = min(settings.max_connections, self.launcher.connections())
        self.pool = Pool(settings, plan, loop, self.dispatcher, self.launcher, log, self)
        self.status = Status(self.pool, self.dispatcher)
        self.pages = PagesRunner(self)
        self.last_words = last_words(settings.termination_log, self._requests_inside)
        self.metrics = Metrics(
            Numbers(settings, self.pool, self.dispatcher, self.admission, self.connections)
        )
        self._observers: list[Observer] = [self.metrics]
        if settings.access_log and log.enabled(logging.INFO):
            self._observers.append(AccessLog(log, probes=settings.log_probes, later=self.later))
        self._handlers: dict[str, Callable[[Exchange], None]] = {
            routes.SCORE: self._score,
            routes.ROOT: self._root,
            routes.LIVE: self._live,
            routes.READY: self._ready,
            routes.STARTUP: self._startup,
            routes.METRICS: self._metrics,
            routes.SWAGGER: self._swagger,
            routes.PAGES: self._pages,
            routes.OTHER: self._nothing,
        }

    more_pages: Callable[[Flask], None] | None = None
    """Adds pages to those that every server has."""

    def make_admission(self, settings: Settings) -> Admission:
        """What bounds the queue."""
        return Admission(settings)

    def start(self) -> None:
        """Start the workers and the once-a-second round."""
        gc.freeze()  # what is here now stays; requests leave no cycles behind
        gc.set_threshold(50_000)
        self.pool.start()
        self.later(1.0, self._tick)
        if self.last_words.needed:
            self._look_at_memory()

    def _look_at_memory(self) -> None:
        self.later(INTERVAL, self._look_at_memory)
        self.last_words.look()

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

    def nothing_to_answer(self) -> bool:
        """Whether every connection is idle."""
        return all(connection.idle for connection in self.connections)

    def unanswered(self) -> int:
        """Connections with a request that has no answer yet."""
        return sum(1 for connection in self.connections if not connection.idle)

    def close(self) -> None:
        """Let go of what outlives the loop."""
        self.pages.close()

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
            self._read_only(exchange)
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
            self._cut(exchange)
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
        return self.admission.retry_after(
            dispatcher.waiting, dispatcher.allowed, dispatcher.service
        )

    def _cut(self, exchange: Exchange) -> None:
        """End a stream so that no client takes it for complete."""
        exchange.keep_alive = False
        connection = exchange.connection
        connection.reset()
        self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """The last byte of the answer is on its way, or its client has left."""
        exchange.state = DONE
        now = self.now()
        self.admission.release(exchange)
        if exchange.body_file >= 0 or exchange.body:
            exchange.release()
        for observer in self._observers:
            try:
                observer.finished(exchange, now)
            except Exception as error:  # noqa: PERF203 - one feature must not break another
                self.log.error(f"{type(observer).__name__} failed: {error!r}")
        exchange.connection.finished(exchange, now)

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
                self._resume(worker)
                worker.interrupt(exchange.number)

    # -- scoring ------------------------------------------------------------------------------

    def _score(self, exchange: Exchange) -> None:
        dispatcher = self.dispatcher
        if not dispatcher.serving and not self.pool.will_serve():
            self.fail(exchange, NotReady(self.status.not_ready()))
        elif exchange.method in _PLAIN_METHODS or self._raw():
            dispatcher.submit(exchange)
        elif exchange.method == b"OPTIONS":
            headers = [("Allow", "GET, HEAD, OPTIONS, POST")]
            self.reply(exchange, self.answers.complete(exchange, 200, b"", TEXT, headers))
        else:
            self.fail(exchange, _not_allowed(exchange, ("GET", "HEAD", "OPTIONS", "POST")))

    def _raw(self) -> bool:
        return self.pool.description.get("style") == "raw"

    def answer_frame(self, worker: WorkerHandle, frame: frames.AnswerFrame) -> None:
        """A worker has answered, or sent a part of an answer."""
        kind = frame.kind
        if kind == frames.ANSWER or kind == frames.FAILURE:
            run_ns = frame.run_ns if frame.flags & frames.RUN_RETURNED else -1
            if not worker.outstanding or worker.outstanding[0].number != frame.number:
                self._disagree(worker, frame)
                return
            exchange = self.dispatcher.answered(worker, run_ns, self.now())
            exchange.run_ns = run_ns
            if exchange.state == DONE:
                self._late(worker, exchange, frame)
            elif kind == frames.ANSWER:
                self._send_result(exchange, frame, run_ns)
            else:
                self._send_failure(worker, exchange, frame, run_ns)
            self.pool.after_answer(worker)
        elif worker.outstanding:
            self._stream_frame(worker, worker.outstanding[0], frame)

    def _disagree(self, worker: WorkerHandle, frame: frames.AnswerFrame) -> None:
        """An answer that nobody waits for: nothing this process says can be trusted any more."""
        self.log.error(
            f"worker {worker.index} (pid {worker.pid}) answered request number {frame.number}, "
            "which is not inside it; it is killed. Something else wrote to its socket"
        )
        worker.kill("")

    def _send_result(self, exchange: Exchange, frame: frames.AnswerFrame, run_ns: int) -> None:
        body = frame.body
        if not frame.flags & frames.OWN_RESPONSE:
            if len(body) < frames.LARGE:
                self.reply(exchange, self.answers.scored(exchange, run_ns, body))
                return
            content_type, headers, failed = JSON, [], False
        else:
            content_type, headers = frame.read_meta()
            failed = bool(frame.flags & frames.RUN_FUNCTION_FAILED) or frame.status >= 500
        head = self.answers.head_of(
            exchange, frame.status, len(body), content_type, headers, run_ns=run_ns, failed=failed
        )
        if exchange.sent < frames.LARGE:
            self.reply(exchange, head + body if exchange.sent else head)
        else:
            self._reply_in_pieces(exchange, head, memoryview(body))

    def _reply_in_pieces(self, exchange: Exchange, head: bytes, body: memoryview) -> None:
        """Send a large answer as its client takes it, and others their turn in between."""
        exchange.streaming = True  # its head is on the way: nothing else can be said any more
        exchange.connection.write(head)
        exchange.connection.write_large(body, lambda: self.finish(exchange))

    def _send_failure(
        self, worker: WorkerHandle, exchange: Exchange, frame: frames.AnswerFrame, run_ns: int
    ) -> None:
        stage, error_type, message, log, detail = frame.read_meta()
        request_id = exchange.request_id.decode("latin-1")
        if frame.status >= 500:
            self.log.event(
                logging.ERROR, SCRIPT, f"{stage} failed: {log or message}",
                request_id=request_id, pid=worker.pid, stage=stage, error_type=error_type,
            )  # fmt: skip
        exchange.reason = error_type
        if stage == "encode":
            message = RUN_FAILED_MESSAGE
        body, content_type = self.failure_body(exchange, stage, message, detail)
        failed = stage in ("run", "encode")
        self.reply(
            exchange,
            self.answers.complete(
                exchange, frame.status, body, content_type, run_ns=run_ns, failed=failed
            ),
        )

    def failure_body(
        self, exchange: Exchange, stage: str, message: str, detail: dict[str, Any]
    ) -> tuple[bytes, str]:
        """What the client sees of a failure: in production only the contract's message."""
        del exchange, stage, detail
        return orjson.dumps({"message": message}), JSON

    def _late(self, worker: WorkerHandle, exchange: Exchange, frame: frames.AnswerFrame) -> None:
        """The answer to a request that has already been answered, or left."""
        if worker.expired != exchange.number:
            return
        interrupted = frame.kind == frames.FAILURE and frame.read_meta()[1] == "Interrupted"
        how = "was interrupted in Python code" if interrupted else "came back by itself"
        self.log.warning(
            f"worker {worker.index} (pid {worker.pid}) {how} after its deadline and goes on",
            request_id=exchange.request_id.decode("latin-1"),
        )

    # -- streams ------------------------------------------------------------------------------

    def _stream_frame(
        self, worker: WorkerHandle, exchange: Exchange, frame: frames.AnswerFrame
    ) -> None:
        if frame.kind == frames.STREAM_END:
            self._stream_end(worker, frame)
        elif exchange.state == DONE:
            return
        elif frame.kind == frames.STREAM_BEGIN:
            content_type, headers = frame.read_meta()
            exchange.streaming = True
            exchange.run_ns = frame.run_ns
            head = self.answers.stream_head(
                exchange, frame.status, content_type, headers, run_ns=frame.run_ns,
                failed=bool(frame.flags & frames.RUN_FUNCTION_FAILED),
            )  # fmt: skip
            self._write_part(worker, exchange, head)
        else:
            exchange.sent += len(frame.body)
            self._write_part(worker, exchange, self.answers.chunk(exchange, frame.body))

    def _write_part(self, worker: WorkerHandle, exchange: Exchange, data: bytes) -> None:
        connection = exchange.connection
        if data:
            connection.write(data)
        if not connection.writable and worker.paused_stream is None:
            # The reader is slow: the generator waits with it.
            worker.paused_stream = exchange
            self._loop.remove_reader(worker.answers.fileno())
            connection.on_drain = lambda: self._resume(worker)

    def _resume(self, worker: WorkerHandle) -> None:
        exchange, worker.paused_stream = worker.paused_stream, None
        if exchange is not None:
            exchange.connection.on_drain = None
            self.pool.listen(worker)

    def _stream_end(self, worker: WorkerHandle, frame: frames.AnswerFrame) -> None:
        exchange = self.dispatcher.answered(worker, -1, self.now())
        failure = frame.body.decode("utf-8", "replace")
        if exchange.state == DONE:
            if worker.expired == exchange.number:
                self.log.warning(
                    f"worker {worker.index} (pid {worker.pid}) was interrupted in a stream "
                    "after its deadline and goes on",
                    request_id=exchange.request_id.decode("latin-1"),
                )
        elif failure:
            self.log.event(
                logging.ERROR, SCRIPT, f"the stream was cut: {failure}",
                request_id=exchange.request_id.decode("latin-1"), pid=worker.pid,
            )  # fmt: skip
            exchange.reason = "stream"
            self._cut(exchange)
        else:
            self.reply(exchange, self.answers.last_chunk(exchange))
        self.pool.after_answer(worker)

    # -- the dispatcher's and the pool's calls -----------------------------------------------

    def expired(self, worker: WorkerHandle, exchange: Exchange) -> None:
        """The deadline has passed and the client has its answer: free the worker."""
        number = exchange.number
        request_id = exchange.request_id.decode("latin-1")
        self._resume(worker)  # it may stand in a chunk that nobody takes
        worker.read_stacks()
        worker.dump_stacks()
        worker.interrupt(number)
        self.later(_STACKS_TAKE, self._log_stacks, worker, request_id)
        self.later(self.settings.interrupt_grace, self._kill_if_inside, worker, number, request_id)

    def _log_stacks(self, worker: WorkerHandle, request_id: str) -> None:
        if worker.returncode is not None:
            return
        stacks = worker.read_stacks()
        self.log.error(
            f"the deadline of {self.settings.scoring_timeout_ms} ms has passed in worker "
            f"{worker.index} (pid {worker.pid}); its stacks:\n{stacks.rstrip()}",
            request_id=request_id,
        )

    def _kill_if_inside(self, worker: WorkerHandle, number: int, request_id: str) -> None:
        if worker.outstanding and worker.outstanding[0].number == number:
            self.log.error(
                f"worker {worker.index} (pid {worker.pid}) did not come back to Python within "
                f"{self.settings.interrupt_grace:g} s of its deadline; it is killed and replaced",
                request_id=request_id,
            )
            worker.kill("deadline")

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
        self.last_words.died(report.termination_message())
        if self.log.is_json:
            self.log.error(text, report=document)
        else:
            self.log.raw(text)

    def nobody_serves(self) -> None:
        """No worker can score and the last start failed: nobody should wait for one."""
        self.dispatcher.refuse_all(NotReady(self.status.not_ready()))

    def worker_ended(self, reason: str, text: str) -> None:
        """Count a death, and leave the reason where Kubernetes looks."""
        self.last_words.died(text)
        for observer in self._observers:
            observer.worker_ended(reason)

    def reloaded(self, succeeded: bool) -> None:
        """Count a reload."""
        for observer in self._observers:
            observer.reloaded(succeeded)

    # -- other routes -------------------------------------------------------------------------

    def _read_only(self, exchange: Exchange) -> None:
        if exchange.method == b"OPTIONS":
            headers = [("Allow", "GET, HEAD, OPTIONS")]
            self.reply(exchange, self.answers.complete(exchange, 200, b"", TEXT, headers))
        else:
            self.fail(exchange, _not_allowed(exchange, ("GET", "HEAD", "OPTIONS")))

    def _json(self, exchange: Exchange, status: int, document: Any, retry: float = 0.0) -> None:
        headers = [("Retry-After", f"{retry:.0f}")] if retry else []
        body = orjson.dumps(document, default=str)
        self.reply(exchange, self.answers.complete(exchange, status, body, JSON, headers))

    def _root(self, exchange: Exchange) -> None:
        """Older clients wait here until the answer is 200."""
        if self.pool.ever_ready:
            self.reply(exchange, self.answers.complete(exchange, 200, b"Healthy", TEXT))
        else:
            self._json(exchange, 503, self.status.document(), self.status.retry_after())

    def _live(self, exchange: Exchange) -> None:
        """The server answers; nothing else is meant."""
        self._json(exchange, 200, {"state": "live"})

    def _ready(self, exchange: Exchange) -> None:
        """A worker can score."""
        if self.dispatcher.serving and not self.status.draining:
            self._json(exchange, 200, self.status.document())
        else:
            self._json(exchange, 503, self.status.document(), self.status.retry_after())

    def _startup(self, exchange: Exchange) -> None:
        """``init()`` is done, or what it is doing."""
        if self.pool.ever_ready:
            self._json(exchange, 200, self.status.document())
        else:
            self._json(exchange, 503, self.status.document(), self.status.retry_after())

    def _metrics(self, exchange: Exchange) -> None:
        body, content_type = self.metrics.text()
        self.reply(exchange, self.answers.complete(exchange, 200, body, content_type))

    def _swagger(self, exchange: Exchange) -> None:
        documents = self.pool.description.get("documents")
        if documents is None:
            self.fail(exchange, NotReady(self.status.not_ready()))
            return
        version = _query(exchange).get("version", SWAGGER_VERSIONS[0]).removesuffix(".0")
        if version in documents:
            self._json(exchange, 200, documents[version])
        else:
            supported = ", ".join(SWAGGER_VERSIONS)
            self._json(
                exchange, 404,
                {"message": f"There is no swagger version {version!r}. Supported: {supported}."},
            )  # fmt: skip

    def _pages(self, exchange: Exchange) -> None:
        self.pages.serve(exchange)

    def _nothing(self, exchange: Exchange) -> None:
        self.fail(exchange, routes.no_such_route(exchange))


def _not_allowed(exchange: Exchange, allowed: tuple[str, ...]) -> MethodNotAllowed:
    method = exchange.method.decode("latin-1")
    path = exchange.path.decode("latin-1")
    takes = ", ".join(allowed)
    return MethodNotAllowed(f"{path} does not take {method}. It takes {takes}.", allowed)


def _query(exchange: Exchange) -> dict[str, str]:
    from urllib.parse import parse_qsl

    query = exchange.target.partition(b"?")[2].decode("latin-1")
    return dict(parse_qsl(query, keep_blank_values=True))
