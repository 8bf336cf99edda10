"""What scoring workers send back, on its way to the clients.

The answers of a batch are taken into the books first, then the worker is given its next
requests, and only then are the clients answered: the worker has something to do meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.http.responses import JSON, Answers
from scorehost.front.observe.log import SCRIPT, Log
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.workers.handle import WorkerHandle
from scorehost.wire import answers
from scorehost.wire.messages import RUN_FAILED_MESSAGE

if TYPE_CHECKING:
    from scorehost.front.workers.pool import Pool


class Desk(Protocol):
    """Where answers are handed out."""

    def reply(self, exchange: Exchange, data: bytes) -> None:
        """Send a complete answer."""

    def finish(self, exchange: Exchange) -> None:
        """The last byte is on its way."""

    def cut(self, exchange: Exchange) -> None:
        """End a stream so that no client takes it for complete."""

    def now(self) -> float:
        """Seconds on the monotonic clock."""

    def failure_body(
        self, exchange: Exchange, stage: str, message: str, detail: dict[str, Any]
    ) -> tuple[bytes, str]:
        """What the client sees of a failure, and its content type."""


class Results:
    """Turns what workers send into answers.

    Parameters
    ----------
    desk : hands them out.
    answers : builds them.
    dispatcher, pool : are told that a worker is done with a request.
    log : where failures of the script go.
    loop : whose readers are paused while a stream's client is slow.
    """

    def __init__(
        self, desk: Desk, answers: Answers, dispatcher: Dispatcher, pool: Pool, log: Log,
        loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._answers = answers
        self._dispatcher = dispatcher
        self._pool = pool
        self._log = log
        self._loop = loop

    def take(self, worker: WorkerHandle, found: Sequence[answers.AnswerFrame]) -> None:
        """A worker has sent these, oldest first."""
        outstanding = worker.outstanding
        done: list[tuple[Exchange, answers.AnswerFrame]] = []
        for frame in found:
            if frame.kind > answers.FAILURE:
                self._settle(worker, done)
                done = []
                if outstanding:
                    self._stream_frame(worker, outstanding[0], frame)
            elif not outstanding or outstanding[0].number != frame.number:
                self._disagree(worker, frame)
                break
            else:
                done.append((outstanding.popleft(), frame))
        self._settle(worker, done)

    def _settle(
        self, worker: WorkerHandle, done: Sequence[tuple[Exchange, answers.AnswerFrame]]
    ) -> None:
        """The worker is done with these: into the books, then answer them."""
        if not done:
            return
        now, slowest = self._desk.now(), -1
        for exchange, (_kind, flags, _status, _number, run_ns, _meta, _body) in done:
            if not exchange.begun:
                exchange.begun = now
            if flags & answers.RUN_RETURNED:
                exchange.run_ns = run_ns
                if run_ns > slowest:
                    slowest = run_ns
        self._dispatcher.answered(worker, len(done), slowest, now)
        for exchange, frame in done:
            try:
                self._answer(worker, exchange, frame)
            except Exception as error:  # noqa: PERF203 - the next in the batch is answered
                self._log.error(f"an answer could not be sent: {error!r}", always=True)
                self._desk.cut(exchange)
        self._pool.after_answer(worker)

    def _answer(self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame) -> None:
        kind, flags, _status, _number, run_ns, _meta, body = frame
        if exchange.state == DONE:
            self._late(worker, exchange, frame)
        elif kind == answers.FAILURE:
            self._send_failure(worker, exchange, frame)
        elif flags & answers.OWN_RESPONSE or len(body) >= answers.LARGE:
            self._send_response(exchange, frame)
        else:
            self._desk.reply(exchange, self._answers.scored(exchange, run_ns, body))

    def _disagree(self, worker: WorkerHandle, frame: answers.AnswerFrame) -> None:
        """An answer that nobody waits for: nothing this process says can be trusted any more."""
        self._log.error(
            f"worker {worker.index} (pid {worker.pid}) answered request number {frame.number}, "
            "which is not inside it; it is killed. Something else wrote to its socket"
        )
        worker.kill("")

    def _late(self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame) -> None:
        """The answer to a request that has already been answered, or left."""
        if worker.expired != exchange.number:
            return
        interrupted = frame.kind == answers.FAILURE and frame.read_meta()[1] == "Interrupted"
        how = "was interrupted in Python code" if interrupted else "came back by itself"
        self._log.warning(
            f"worker {worker.index} (pid {worker.pid}) {how} after its deadline and goes on",
            request_id=exchange.request_id.decode("latin-1"),
        )

    # -- whole answers ------------------------------------------------------------------------

    def _send_response(self, exchange: Exchange, frame: answers.AnswerFrame) -> None:
        """Send what the script answered with by itself, or what is large."""
        body, run_ns = frame.body, exchange.run_ns
        content_type, headers, failed = JSON, [], False
        if frame.flags & answers.OWN_RESPONSE:
            content_type, headers = frame.read_meta()
            failed = bool(frame.flags & answers.RUN_FUNCTION_FAILED) or frame.status >= 500
        head = self._answers.head_of(
            exchange, frame.status, len(body), content_type, headers, run_ns=run_ns, failed=failed
        )
        if exchange.sent < answers.LARGE:
            self._desk.reply(exchange, head + body if exchange.sent else head)
        else:
            self._reply_in_pieces(exchange, head, memoryview(body))

    def _reply_in_pieces(self, exchange: Exchange, head: bytes, body: memoryview) -> None:
        """Send a large answer as its client takes it, and others their turn in between."""
        exchange.streaming = True  # its head is on the way: nothing else can be said any more
        exchange.connection.write(head)
        exchange.connection.write_large(body, lambda: self._desk.finish(exchange))

    def _send_failure(
        self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame
    ) -> None:
        stage, error_type, message, log, detail = frame.read_meta()
        if frame.status >= 500:
            self._log.event(
                logging.ERROR, SCRIPT, f"{stage} failed: {log or message}",
                request_id=exchange.request_id.decode("latin-1"), pid=worker.pid,
                stage=stage, error_type=error_type,
            )  # fmt: skip
        exchange.reason = error_type
        if stage == "encode":
            message = RUN_FAILED_MESSAGE
        body, content_type = self._desk.failure_body(exchange, stage, message, detail)
        failed = stage in ("run", "encode")
        self._desk.reply(
            exchange,
            self._answers.complete(
                exchange, frame.status, body, content_type, run_ns=exchange.run_ns, failed=failed
            ),
        )

    # -- streams ------------------------------------------------------------------------------

    def _stream_frame(
        self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame
    ) -> None:
        if frame.kind == answers.STREAM_END:
            self._stream_end(worker, exchange, frame)
        elif exchange.state == DONE:
            return
        elif frame.kind == answers.STREAM_BEGIN:
            content_type, headers = frame.read_meta()
            exchange.streaming = True
            exchange.run_ns = frame.run_ns
            head = self._answers.stream_head(
                exchange, frame.status, content_type, headers, run_ns=frame.run_ns,
                failed=bool(frame.flags & answers.RUN_FUNCTION_FAILED),
            )  # fmt: skip
            self._write_part(worker, exchange, head)
        else:
            exchange.sent += len(frame.body)
            self._write_part(worker, exchange, self._answers.chunk(exchange, frame.body))

    def _write_part(self, worker: WorkerHandle, exchange: Exchange, data: bytes) -> None:
        connection = exchange.connection
        if data:
            connection.write(data)
        if not connection.writable and worker.paused_stream is None:
            # The reader is slow: the generator waits with it.
            worker.paused_stream = exchange
            self._loop.remove_reader(worker.answers.fileno())
            connection.on_drain = lambda: self.resume(worker)

    def resume(self, worker: WorkerHandle) -> None:
        """Read from the worker again, if it stands in a chunk that its client did not take."""
        exchange, worker.paused_stream = worker.paused_stream, None
        if exchange is not None:
            exchange.connection.on_drain = None
            self._pool.listen(worker)

    def _stream_end(
        self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame
    ) -> None:
        worker.outstanding.popleft()
        self._dispatcher.answered(worker, 1, -1, self._desk.now())
        failure = frame.body.decode("utf-8", "replace")
        request_id = exchange.request_id.decode("latin-1")
        if exchange.state == DONE:
            if worker.expired == exchange.number:
                self._log.warning(
                    f"worker {worker.index} (pid {worker.pid}) was interrupted in a stream "
                    "after its deadline and goes on",
                    request_id=request_id,
                )
        elif failure:
            self._log.event(
                logging.ERROR, SCRIPT, f"the stream was cut: {failure}",
                request_id=request_id, pid=worker.pid,
            )  # fmt: skip
            exchange.reason = "stream"
            self._desk.cut(exchange)
        else:
            self._desk.reply(exchange, self._answers.last_chunk(exchange))
        self._pool.after_answer(worker)
