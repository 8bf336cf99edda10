"""What happens to a request: it is refused, answered by its route, or given to a worker."""

from __future__ import annotations

from collections.abc import Callable

from scorehost.errors import MethodNotAllowed, NotReady
from scorehost.front.http.exchange import DONE, WAITING, WRITTEN, Exchange
from scorehost.front.http.responses import TEXT, Renderer, Response
from scorehost.front.http.routes import no_such_route
from scorehost.front.replies import Replies
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.workers.pool import Pool


class Service:
    """Serves the requests of connections.

    Parameters
    ----------
    replies : answers requests that need no worker.
    renderer : recognises and answers preflights.
    dispatcher : gives the other requests to workers.
    pool : knows the script and its workers, those that are about to end included.
    not_ready : returns the error for a request that can't wait for a worker.
    """

    def __init__(
        self,
        replies: Replies,
        renderer: Renderer,
        dispatcher: Dispatcher,
        pool: Pool,
        not_ready: Callable[[], NotReady],
    ) -> None:
        self._replies = replies
        self._renderer = renderer
        self._dispatcher = dispatcher
        self._pool = pool
        self._not_ready = not_ready

    def serve(self, exchange: Exchange) -> None:
        """Answer a whole request, now or later."""
        route = exchange.route
        if exchange.error is not None:
            self._replies.fail(exchange, exchange.error)
        elif exchange.connection.health_only and not route.on_health_port:
            self.nothing(exchange)
        elif exchange.method in route.methods:
            route.handler(exchange)
        else:
            self._other_method(exchange)

    def score_after_all(self, exchange: Exchange) -> bool:
        """Serve a request that was to be refused for want of a worker, if there is room by now."""
        if not (exchange.route.protocol and self._dispatcher.has_room):
            return False
        self.serve(exchange)  # its method may not be one that the script takes
        return True

    def score(self, exchange: Exchange) -> None:
        """Have a worker score a request."""
        dispatcher = self._dispatcher
        if not dispatcher.serving and not self._pool.will_serve():
            self._replies.fail(exchange, self._not_ready())
            return
        dispatcher.submit(exchange)

    def nothing(self, exchange: Exchange) -> None:
        """Say that nothing is served under the path."""
        health_only = exchange.connection.health_only
        self._replies.fail(exchange, no_such_route(exchange.path, health_only=health_only))

    def _other_method(self, exchange: Exchange) -> None:
        """Answer a method that the route does not list."""
        route, pool = exchange.route, self._pool
        if self._renderer.is_preflight(exchange):
            self._replies.reply(exchange, self._renderer.preflight(exchange))
        elif not route.methods:
            route.handler(exchange)
        elif route.protocol and pool.description.get("style") == "raw":
            route.handler(exchange)  # @rawhttp takes any method
        elif route.protocol and not self._dispatcher.serving and not pool.will_serve():
            route.handler(exchange)  # whether the script takes it is not known yet
        else:
            self._refuse_method(exchange)

    def _refuse_method(self, exchange: Exchange) -> None:
        """Name the methods that the route takes: the answer to OPTIONS, an error for others."""
        names = exchange.route.method_names()
        if exchange.method == b"OPTIONS":
            self._replies.reply(exchange, Response(200, b"", TEXT, [("Allow", ", ".join(names))]))
            return
        method, path = exchange.method.decode("latin-1"), exchange.path.decode("latin-1")
        text = f"{path} does not accept {method}. It accepts {', '.join(names)}."
        self._replies.fail(exchange, MethodNotAllowed(text, names))

    # -- clients that leave -------------------------------------------------------------------

    def give_up_waiting(self, exchange: Exchange) -> bool:
        """Take a request out of the queue; return False when a worker may have begun it."""
        if self._dispatcher.is_first(exchange):
            return False
        if exchange.state in (WAITING, WRITTEN) and self._dispatcher.remove(exchange):
            self._replies.client_left(exchange)
            return True
        return False

    def abandon(self, exchange: Exchange) -> None:
        """Drop a request whose client has left; if no worker has begun it, it is not scored."""
        if exchange.state == DONE:
            return
        if exchange.state in (WAITING, WRITTEN) and not self._dispatcher.remove(exchange):
            self._leave_to_worker(exchange)
        self._replies.client_left(exchange)

    def _leave_to_worker(self, exchange: Exchange) -> None:
        """End the stream that a worker is sending; any other answer will be discarded."""
        for worker in self._pool.workers:
            if exchange.streaming and exchange.number in worker.in_flight:
                worker.go_on()
                worker.interrupt(exchange.number)
