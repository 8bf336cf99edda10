"""Has pages made off the event loop, and sends them."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from scorehost.errors import Overloaded, RequestError
from scorehost.front.background import Background
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.http.responses import Response
from scorehost.front.http.routes import Route
from scorehost.front.observe.log import Log
from scorehost.front.pages.context import PageContext
from scorehost.front.replies import Replies
from scorehost.wire.messages import HeaderList

_ANY_METHOD: Final[frozenset[bytes]] = frozenset()
"""Flask refuses the methods that a page does not take."""
_AT_ONCE: Final = 16
"""Pages that may wait to be made, one after the other."""


class PagesRunner:
    """Makes the Flask app at the first request for a page, and calls it.

    Parameters
    ----------
    context : what the pages show.
    replies : sends the pages.
    background : the thread that makes them.
    log : receives an error when a page fails.
    """

    def __init__(
        self, context: PageContext, replies: Replies, background: Background, log: Log
    ) -> None:
        self._context = context
        self._replies = replies
        self._background = background
        self._log = log
        self._app: Any = None
        self._under_way = 0

    def route(self, path: str) -> Route:
        """The route table's row for a page, or for all pages below a path."""
        return Route(path, _ANY_METHOD, self.serve, "pages")

    def serve(self, exchange: Exchange) -> None:
        """Have a page made; the response is sent from the event loop."""
        if self._under_way == _AT_ONCE:
            problem = f"{_AT_ONCE} other pages are being made. Try again."
            self._replies.fail(exchange, Overloaded(problem, 1.0))
            return
        self._background.do(
            self._make,
            exchange.method.decode("latin-1"),
            exchange.target.decode("latin-1"),
            exchange.text_headers(),
            exchange.body,
            then=partial(self._send, exchange),
        )
        self._under_way += 1

    def _make(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, HeaderList, bytes]:
        from scorehost.front.pages.app import make_pages, serve_page

        if self._app is None:
            self._app = make_pages(self._context)
        return serve_page(self._app, method, target, headers, body)

    def _send(self, exchange: Exchange, done: Future[tuple[int, HeaderList, bytes]]) -> None:
        self._under_way -= 1
        if exchange.state == DONE:
            return
        error = done.exception()
        if error is not None:
            self._log.event(
                logging.ERROR, "scorehost.pages", f"the page could not be made: {error!r}"
            )
            self._replies.fail(exchange, RequestError("The page could not be made. See the log."))
            return
        status, headers, body = done.result()
        content_type = next((v for n, v in headers if n.lower() == "content-type"), "")
        self._replies.reply(exchange, Response(status, body, content_type, headers))
