"""Has pages made beside the event loop, and sends them."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from scorehost.errors import RequestError
from scorehost.front.http.exchange import DONE, Exchange
from scorehost.front.pages.context import PageContext
from scorehost.wire.messages import HeaderList

if TYPE_CHECKING:
    from scorehost.front.front import Front


class PagesRunner:
    """Makes the Flask app at the first request for a page, and asks it.

    Parameters
    ----------
    front : what the pages show, and where their answers go.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._app: Any = None

    def serve(self, exchange: Exchange) -> None:
        """Have a page made; the answer is sent from the event loop."""
        self._front.background.do(
            self._make,
            exchange.method.decode("latin-1"),
            exchange.target.decode("latin-1"),
            exchange.text_headers(),
            exchange.body,
            then=partial(self._send, exchange),
        )

    def _make(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, HeaderList, bytes]:
        from scorehost.front.pages.app import make_pages, serve_page

        if self._app is None:
            front = self._front
            self._app = make_pages(
                PageContext(
                    settings=front.settings,
                    documents=lambda: front.pool.description.get("documents"),
                    state=front.status.not_ready,
                    extend=front.more_pages,
                )
            )
        return serve_page(self._app, method, target, headers, body)

    def _send(self, exchange: Exchange, done: Future[tuple[int, HeaderList, bytes]]) -> None:
        if exchange.state == DONE:
            return
        error = done.exception()
        if error is not None:
            self._front.log.event(logging.ERROR, "scorehost.pages", f"a page failed: {error!r}")
            self._front.fail(exchange, RequestError("The page could not be made. See the log."))
            return
        status, headers, body = done.result()
        content_type = next((v for n, v in headers if n.lower() == "content-type"), "")
        data = self._front.answers.complete(exchange, status, body, content_type, headers)
        self._front.reply(exchange, data)
