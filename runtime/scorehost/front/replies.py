"""The one place where clients are answered: responses, errors, streams, and their end.

Nothing else writes a response to a connection, sets an exchange's status or ends an exchange.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from scorehost.errors import RequestError
from scorehost.front.clock import Clock
from scorehost.front.http.byte_budget import ByteBudget, UntakenAnswers
from scorehost.front.http.error_responses import ErrorResponses
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.http.responses import JSON, Renderer, Response, sent_bytes
from scorehost.front.observe.observers import Observers
from scorehost.front.refusals import Refusals
from scorehost.wire.answers import LARGE
from scorehost.wire.messages import Failure

CLIENT_LEFT: Final = 499
"""What nginx logs for a client that closed its connection; no client ever sees it."""
_OBSERVED_AFTER: Final = 0.02
"""Seconds for which finished exchanges are collected before metrics and log see them."""


class Replies:
    """Answers exchanges; at the end of each, ``budget`` gets the bytes of its body back.

    ``untaken`` counts what clients have not taken; it may have no room for a large answer.
    ``admit`` takes in a request that was about to be refused, if there is room now.
    """

    def __init__(
        self,
        renderer: Renderer,
        errors: ErrorResponses,
        budget: ByteBudget,
        untaken: UntakenAnswers,
        observers: Observers,
        clock: Clock,
        admit: Callable[[Exchange], bool],
    ) -> None:
        self._renderer = renderer
        self._errors = errors
        self._budget = budget
        self._untaken = untaken
        self._observers = observers
        self._replying = observers.replying
        self._ending = observers.ending
        self._now = clock.now
        self._later = clock.later
        self._finished: list[Exchange] = []
        self._refusals = Refusals(clock, self._answer_error, admit)

    # -- whole responses ----------------------------------------------------------------------

    def scored(self, exchange: Exchange, run_ns: int, body: bytes) -> None:
        """Send a result of ``run()`` of less than LARGE bytes: JSON, with status 200."""
        if not exchange.usual or self._replying is not None:
            self.reply(exchange, Response(200, body, JSON, (), run_ns))
            return
        exchange.status = 200
        exchange.sent = len(body)
        exchange.connection.write(self._renderer.scored(exchange, run_ns, body))
        self.finish(exchange)

    def reply(self, exchange: Exchange, response: Response) -> None:
        """Send a whole response; a large one as its client takes it."""
        if self._replying is not None:
            self._replying(exchange, response)
        exchange.status = response.status
        exchange.sent = size = sent_bytes(exchange, response)
        if size < LARGE:
            exchange.connection.write(self._renderer.render(exchange, response))
            self.finish(exchange)
            return
        if not self._untaken.make_room(size):
            self.fail(exchange, self._untaken.no_room())
            return
        exchange.streaming = True  # its head is on the way: no other response can follow
        connection = exchange.connection
        connection.write(self._renderer.head(exchange, response))
        connection.write_large(memoryview(response.body), partial(self.finish, exchange))

    def fail(self, exchange: Exchange, error: RequestError) -> None:
        """Answer with an error, a refusal when it is its turn.

        A response that has begun can only be cut off.
        """
        if exchange.state == DONE:
            return
        if exchange.streaming:
            self.cut(exchange)
        elif error.is_refusal:
            self._refusals.refuse(exchange, error)
        else:
            self._answer_error(exchange, error)

    def refuse_all(self) -> None:
        """Send every refusal that waits for its turn: the server is stopping."""
        self._refusals.refuse_all()

    def _answer_error(self, exchange: Exchange, error: RequestError) -> None:
        exchange.reason = type(error).__name__
        self.reply(exchange, self._errors.of_error(exchange, error))

    def script_failed(self, exchange: Exchange, failure: Failure) -> None:
        """Answer a request for which the script has failed."""
        exchange.reason = failure.error_type
        if self._observers.script_failed is not None:
            self._observers.script_failed(exchange, failure.detail)
        self.reply(exchange, self._errors.of_failure(exchange, failure))

    # -- streams ------------------------------------------------------------------------------

    def begin_stream(self, exchange: Exchange, response: Response) -> None:
        """Send the head of a response whose body follows in chunks."""
        if self._observers.streaming is not None:
            self._observers.streaming(exchange, response)
        exchange.streaming = True
        exchange.status = response.status
        exchange.run_ns = response.run_ns
        if exchange.http10:
            exchange.keep_alive = False  # the end of the connection is the end of the body
        exchange.connection.write(self._renderer.stream_head(exchange, response))

    def send_chunk(self, exchange: Exchange, data: bytes) -> None:
        exchange.sent += len(data)
        chunk = self._renderer.chunk(exchange, data)
        if chunk:
            exchange.connection.write(chunk)

    def end_stream(self, exchange: Exchange) -> None:
        """End a stream that is complete."""
        last = self._renderer.last_chunk(exchange)
        if last:
            exchange.connection.write(last)
        self.finish(exchange)

    # -- the end ------------------------------------------------------------------------------

    def cut(self, exchange: Exchange) -> None:
        """End a response so that no client takes it for complete."""
        exchange.keep_alive = False
        exchange.connection.reset()
        self.finish(exchange)

    def client_left(self, exchange: Exchange) -> None:
        """End an exchange whose client has gone."""
        exchange.status = CLIENT_LEFT
        self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """End an exchange: its last byte is on the way, or its client has left."""
        if self._ending is not None:
            self._ending(exchange)
        exchange.state = DONE
        exchange.ended = now = self._now()
        if exchange.held:
            self._budget.held -= exchange.held
            exchange.held = 0
            exchange.body = b""
            if exchange.body_file >= 0:
                exchange.release()
        finished = self._finished
        finished.append(exchange)
        if len(finished) == 1:
            self._later(_OBSERVED_AFTER, self.observe)
        exchange.connection.finished(exchange, now)

    def observe(self) -> None:
        """Pass finished exchanges to metrics and access log: late, but before anyone asks."""
        finished, self._finished = self._finished, []
        if finished and self._observers.finished is not None:
            self._observers.finished(finished)
