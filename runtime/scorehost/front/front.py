"""The front: builds its parts, joins them, and moves the server through its phases.

Everything here runs on one event loop and returns at once; whatever takes long happens in a
scoring process, or in the background on a thread.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from scorehost.diagnosis.cgroup import MemoryGauge, read_limits
from scorehost.front.background import Background
from scorehost.front.clock import Clock
from scorehost.front.descriptors import most_connections
from scorehost.front.endpoints import Endpoints
from scorehost.front.features import Features, Parts
from scorehost.front.http.byte_budget import ByteBudget, UntakenAnswers
from scorehost.front.http.connections import Connections
from scorehost.front.http.context import Context, Limits
from scorehost.front.http.head_cache import HeadCache
from scorehost.front.http.ids import id_maker
from scorehost.front.http.responses import Renderer
from scorehost.front.http.routes import SCORE_METHODS, Route, Routes
from scorehost.front.http.turns import Turns
from scorehost.front.observe.access_log import AccessLog
from scorehost.front.observe.log import Log
from scorehost.front.observe.metrics import Metrics
from scorehost.front.observe.observer import Observer
from scorehost.front.observe.observers import Observers
from scorehost.front.pages.context import PageContext
from scorehost.front.pages.runner import PagesRunner
from scorehost.front.phase import DRAINING, LEAVING, SERVING, STOPPED, Phase
from scorehost.front.replies import Replies
from scorehost.front.scheduling.deadlines import Deadlines
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.scheduling.queue_limits import QueueLimits
from scorehost.front.scheduling.results import Results
from scorehost.front.service import Service
from scorehost.front.status import Numbers, Status
from scorehost.front.supervision import Supervision
from scorehost.front.workers.capacity import plan_workers
from scorehost.front.workers.launcher import Launcher
from scorehost.front.workers.pool import Pool
from scorehost.front.workers.processes import request_inside
from scorehost.front.workers.termination_message import INTERVAL, TerminationMessage
from scorehost.interpreter import where_scripts_run
from scorehost.profile import Profile
from scorehost.settings import Settings

ROUND: Final = 1.0
"""Seconds between two rounds: the date, time limits of connections, memory of workers."""


class Front:
    """One server, without its sockets.

    Parameters
    ----------
    environ : the environment of the scoring processes.
    loop : the running event loop.
    stop : called with the exit status when the server must end.
    features : what the server does besides serving.
    clock : the loop's, unless given.
    """

    def __init__(
        self,
        settings: Settings,
        profile: Profile,
        environ: dict[str, str],
        log: Log,
        loop: asyncio.AbstractEventLoop,
        stop: Callable[[int], None],
        features: Features,
        clock: Clock | None = None,
    ) -> None:
        self._loop = loop
        self._features = features
        self._clock = clock = clock or Clock(loop)
        self._phase = Phase()
        limits = read_limits()
        plan = plan_workers(settings, limits)
        log.info(plan.explanation)
        self._launcher = Launcher(settings, environ, plan.cpus)
        if running := where_scripts_run(self._launcher.interpreter, environ):
            log.info(running)
        version = profile.server_version if settings.server_version_header else ""
        self._renderer = Renderer(settings.cors_origins, version)
        budget = ByteBudget(
            settings.max_queue_bytes, lambda: self.dispatcher.retry_after(), clock.now
        )
        if settings.max_body_bytes > budget.largest:
            log.warning(
                f"bodies of more than {budget.largest} bytes may be refused with 503: one may have "
                f"{settings.max_body_bytes} (SCOREHOST_MAX_BODY_BYTES), but all together "
                f"{settings.max_queue_bytes} (SCOREHOST_MAX_QUEUE_BYTES), an eighth of which is "
                "kept for small ones"
            )
        self._untaken = UntakenAnswers(settings.max_untaken_bytes, clock.now)
        most = min(settings.max_connections, most_connections())
        if most < settings.max_connections:
            log.info(
                f"at most {most} connections are open at once: the limit on open files (ulimit -n) "
                f"allows fewer than SCOREHOST_MAX_CONNECTIONS, which is {settings.max_connections}"
            )
        self.connections = Connections(most, clock.now, self._untaken.cut_one)
        self.metrics = metrics = Metrics()
        observers = Observers(self._observers(settings, metrics, log), log)
        self.replies = Replies(
            self._renderer,
            features.error_responses(),
            budget,
            self._untaken,
            observers,
            clock,
            lambda exchange: service.score_after_all(exchange),
        )
        log.before_event = self.replies.observe
        deadlines = Deadlines(settings, log, clock.later)
        self.dispatcher = Dispatcher(
            settings, QueueLimits(settings), clock, self.replies.fail, deadlines.expired
        )
        self.pool = Pool(settings, plan, loop, self.dispatcher, self._launcher, log)
        self._status = Status(self.pool, self.dispatcher, self._phase, features)
        numbers = Numbers(
            settings, self.pool, self.dispatcher, budget, self._untaken, self.connections
        )
        self._termination_message = TerminationMessage(
            settings.termination_log, self._requests_inside,
            limit=limits.memory_bytes, gauge=MemoryGauge(),
        )  # fmt: skip
        self.supervision = Supervision(
            settings, log, self._termination_message, observers, self.replies, self.dispatcher,
            self._status, stop,
        )  # fmt: skip
        take_answer = self.pool.after_answer
        self.results = Results(
            self.replies, self.dispatcher, deadlines.came_out, take_answer, log, clock.now
        )
        self._background = Background(self._from_thread)
        endpoints = Endpoints(
            self.replies, self._status, metrics, numbers, self._background, log, clock
        )
        page_context = PageContext(
            settings=settings,
            documents=self._status.documents,
            state=self._status.not_ready,
            extend=features.add_pages,
        )
        pages = PagesRunner(page_context, self.replies, self._background, log)
        service = Service(
            self.replies, self._renderer, self.dispatcher, self.pool, self._status.refusal
        )
        routes = Routes(
            [
                Route("/score", SCORE_METHODS, service.score, "score", protocol="score.py"),
                *endpoints.routes(),
                pages.route("/docs"),
                pages.route("/docs/*"),
            ],
            otherwise=Route("", frozenset(), service.nothing, "other"),
        )
        limits_of_connections = Limits(
            settings.header_timeout, settings.body_timeout, settings.idle_timeout,
            settings.max_header_bytes, settings.max_body_bytes,
        )  # fmt: skip
        self.context = Context(
            limits=limits_of_connections,
            phase=self._phase,
            speaks_tls=settings.tls_certificate is not None,
            now=clock.now,
            soon=clock.soon,
            later=clock.later,
            turns=Turns(clock.soon),
            make_id=id_maker(),
            routes=routes,
            budget=budget,
            untaken=self._untaken,
            head_cache=HeadCache(),
            connections=self.connections,
            service=service,
        )
        parts = Parts(
            loop, self._from_thread, self.context, self.pool, self._launcher, self.dispatcher,
            self._status, endpoints, pages, self.replies,
        )  # fmt: skip
        for row in features.connect(parts):
            routes.add(row)

    # -- building -----------------------------------------------------------------------------

    def _observers(self, settings: Settings, metrics: Metrics, log: Log) -> Iterable[Observer]:
        """Yield the observers that the settings and the features ask for."""
        yield metrics
        if settings.access_log and log.enabled(logging.INFO):
            yield AccessLog(log, probes=settings.log_probes)
        yield from self._features.observers()

    # -- phases -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the workers and the rounds."""
        gc.freeze()  # what is here now stays; requests leave no cycles behind
        gc.set_threshold(50_000)
        self.pool.start(self.results.take, self.supervision)
        self._clock.later(ROUND, self._round)
        if self._termination_message.needed:
            self._look_at_memory()
        self._features.start()
        self._phase.enter(SERVING)

    def leave(self) -> None:
        """Let readiness fail, so that routers send no more, and keep serving."""
        self._phase.enter(LEAVING)

    def drain(self) -> None:
        """Close every connection after its next response, which announces that."""
        self._phase.enter(DRAINING)
        self.connections.begin_to_drain()

    def stop(self, *, at_once: bool, ended: Callable[[], None]) -> None:
        """End the workers, and refuse the requests that still wait for one.

        Parameters
        ----------
        at_once : kill them instead of asking idle ones to end.
        ended : called when the last one is gone.
        """
        self._phase.enter(STOPPED)
        self.pool.on_empty = ended
        if at_once:
            self.pool.kill_all()
        self.pool.stop()
        self.dispatcher.refuse_all(self._status.refusal("The server is stopping."))
        self.replies.refuse_all()

    def close(self) -> None:
        """Let go of what outlives the loop."""
        self.replies.observe()
        self._background.close()
        self._features.close()

    # -- from time to time --------------------------------------------------------------------

    def _round(self) -> None:
        self._clock.later(ROUND, self._round)
        self._renderer.tick()
        self._untaken.look()
        self.connections.expire(self._clock.now())
        self.pool.check_memory()
        self.pool.check_frames()

    def _look_at_memory(self) -> None:
        self._clock.later(INTERVAL, self._look_at_memory)
        self._termination_message.look()

    def _requests_inside(self) -> str:
        """Return the requests that are being scored, in words, for the termination message."""
        return ", ".join(
            f"request {request_id} (worker {worker.index})"
            for worker in self.pool.workers
            if (request_id := request_inside(worker))
        )

    def _from_thread(self, call: Callable[..., object], *arguments: object) -> None:
        """Call something on the event loop, from another thread."""
        self._loop.call_soon_threadsafe(partial(call, *arguments))
