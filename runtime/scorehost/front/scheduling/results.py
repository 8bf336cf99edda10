"""What scoring workers send back, on its way to the clients.

The answers of a batch are first accounted for, then the worker is given its next requests, and
only then are the clients answered: the worker has something to do meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from scorehost.errors import FrameError
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.http.responses import JSON, Response
from scorehost.front.observe.log import SCRIPT, Log
from scorehost.front.replies import Replies
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.workers.handle import WorkerHandle
from scorehost.wire import answers
from scorehost.wire.messages import HeaderList


class Results:
    """Turns what workers send into responses.

    Parameters
    ----------
    dispatcher : is told that a worker is done with a request, before its client is answered.
    came_out : is told how a worker came out of a request after its deadline.
    after_answer : is called with the worker once the client has been answered.
    """

    def __init__(
        self,
        replies: Replies,
        dispatcher: Dispatcher,
        came_out: Callable[[WorkerHandle, Exchange, str], None],
        after_answer: Callable[[WorkerHandle], None],
        log: Log,
        now: Callable[[], float],
    ) -> None:
        self._replies = replies
        self._dispatcher = dispatcher
        self._came_out = came_out
        self._after_answer = after_answer
        self._log = log
        self._now = now

    def take(self, worker: WorkerHandle, found: Sequence[answers.AnswerFrame]) -> None:
        """Handle the frames that a worker has sent, oldest first."""
        in_flight = worker.in_flight
        done: list[tuple[Exchange, answers.AnswerFrame]] = []
        for frame in found:
            if frame.kind <= answers.FAILURE:
                exchange = in_flight.pop(frame.number, None)
                if exchange is not None:
                    done.append((exchange, frame))
                    continue
            else:
                self._settle(worker, done)
                done = []
                exchange = in_flight.get(frame.number)
                try:
                    if exchange is not None:
                        self._stream_frame(worker, exchange, frame)
                        continue
                except FrameError as problem:
                    self._distrust(worker, frame, str(problem))
                    break
            unasked = f"answered request number {frame.number}, which it is not handling"
            self._distrust(worker, frame, unasked)
            break
        self._settle(worker, done)

    def _settle(
        self, worker: WorkerHandle, done: Sequence[tuple[Exchange, answers.AnswerFrame]]
    ) -> None:
        """Account for requests that the worker is done with, then answer them."""
        if not done:
            return
        if worker.stream is not None:  # it is in no other request
            worker.in_flight.update({exchange.number: exchange for exchange, _ in done})
            self._distrust(worker, done[0][1], "sent a whole answer in the middle of a stream")
            return
        now, slowest = self._now(), -1
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
            except FrameError as problem:  # noqa: PERF203 - the next in the batch is answered
                worker.in_flight.put_first(exchange)  # its worker's end answers it
                self._distrust(worker, frame, str(problem))
            except Exception as error:
                self._log.error(f"sending an answer failed: {error!r}", always=True)
                self._replies.cut(exchange)
        self._after_answer(worker)

    def _answer(self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame) -> None:
        kind, flags, _status, _number, run_ns, _meta, body = frame
        if exchange.state == DONE:
            self._late(worker, exchange, frame)
        elif kind == answers.FAILURE:
            self._send_failure(worker, exchange, frame)
        elif flags & answers.OWN_RESPONSE or len(body) >= answers.LARGE:
            self._send_response(exchange, frame)
        else:
            self._replies.scored(exchange, run_ns, body)

    def _distrust(self, worker: WorkerHandle, frame: answers.AnswerFrame, problem: str) -> None:
        """Kill a worker that sends what the server's own code does not send."""
        if frame.kind != answers.UNREADABLE:
            frame = frame.refused(problem)
        if not worker.kill_reason:
            self._log.error(
                f"{worker.member} {frame.body.decode()}, so something else wrote to its socket; "
                "killing the worker",
                always=True,
            )
        worker.distrust()

    def _late(self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame) -> None:
        """Tell how a worker came out of a request after its deadline; its client has a 504."""
        if exchange.expired:
            failed = frame.kind == answers.FAILURE
            interrupted = failed and answers.unpack_failure(frame).error_type == "Interrupted"
            how = "was interrupted in Python code" if interrupted else "returned on its own"
            self._came_out(worker, exchange, how)

    # -- whole answers ------------------------------------------------------------------------

    def _send_response(self, exchange: Exchange, frame: answers.AnswerFrame) -> None:
        """Send a response that the script has made itself, or a large result."""
        content_type, failed = JSON, False
        headers: HeaderList = ()
        if frame.flags & answers.OWN_RESPONSE:
            content_type, headers = answers.unpack_own(frame)
            failed = bool(frame.flags & answers.RUN_FUNCTION_FAILED) or frame.status >= 500
        self._replies.reply(
            exchange,
            Response(frame.status, frame.body, content_type, headers, exchange.run_ns, failed),
        )

    def _send_failure(
        self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame
    ) -> None:
        failure = answers.unpack_failure(frame)
        if failure.status >= 500:
            self._log.event(
                logging.ERROR, SCRIPT, f"{failure.stage} failed: {failure.log or failure.message}",
                request_id=exchange.request_id.decode("latin-1"), pid=worker.pid,
                stage=failure.stage, error_type=failure.error_type,
            )  # fmt: skip
        self._replies.script_failed(exchange, failure)

    # -- streams ------------------------------------------------------------------------------

    def _stream_frame(
        self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame
    ) -> None:
        """Handle one frame of a stream; raises FrameError where there can be none."""
        if frame.kind > answers.STREAM_END:
            raise FrameError(f"sent a frame of the unknown kind {frame.kind}")
        begins = frame.kind == answers.STREAM_BEGIN
        if exchange.state != DONE and begins == exchange.streaming:
            raise FrameError(
                "began a stream for the second time" if begins
                else "sent a part of a stream that it has not begun"
            )  # fmt: skip
        if frame.kind == answers.STREAM_END:
            self._stream_end(worker, exchange, frame)
            return
        if begins:
            worker.stream = exchange
        if exchange.state == DONE:
            return
        if begins:
            content_type, headers = answers.unpack_own(frame)
            failed = bool(frame.flags & answers.RUN_FUNCTION_FAILED)
            begun = Response(frame.status, b"", content_type, headers, frame.run_ns, failed)
            self._replies.begin_stream(exchange, begun)
        else:
            self._replies.send_chunk(exchange, frame.body)
        if not exchange.connection.writable:
            worker.wait_for_client(exchange)

    def _stream_end(
        self, worker: WorkerHandle, exchange: Exchange, frame: answers.AnswerFrame
    ) -> None:
        del worker.in_flight[exchange.number]
        worker.stream = None
        worker.go_on()  # others' answers don't wait for the client of this one
        self._dispatcher.answered(worker, 1, -1, self._now())
        failure = frame.body.decode("utf-8", "replace")
        if exchange.state == DONE:
            if exchange.expired:
                self._came_out(worker, exchange, "was interrupted in a stream")
        elif failure:
            self._log.event(
                logging.ERROR, SCRIPT, f"the stream was cut off: {failure}",
                request_id=exchange.request_id.decode("latin-1"), pid=worker.pid,
            )  # fmt: skip
            exchange.reason = "stream"
            self._replies.cut(exchange)
        else:
            self._replies.end_stream(exchange)
        self._after_answer(worker)
