"""The hooks by which debugging and reloading extend a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorehost.front.endpoints import Endpoints
from scorehost.front.http.context import Context
from scorehost.front.http.error_responses import ErrorResponses
from scorehost.front.http.routes import Route
from scorehost.front.observe.observer import Observer
from scorehost.front.pages.runner import PagesRunner
from scorehost.front.replies import Replies
from scorehost.front.scheduling.dispatcher import Dispatcher
from scorehost.front.status import Status
from scorehost.front.workers.launcher import Launcher
from scorehost.front.workers.pool import Pool

if TYPE_CHECKING:
    from flask import Flask


@dataclass(frozen=True)
class Parts:
    """The parts of a server that a feature may use.

    All run on ``loop``; ``from_thread`` calls a function on it from any thread.
    """

    loop: asyncio.AbstractEventLoop
    from_thread: Callable[..., None]
    context: Context
    pool: Pool
    launcher: Launcher
    dispatcher: Dispatcher
    status: Status
    endpoints: Endpoints
    pages: PagesRunner
    replies: Replies


class Features:
    """The hooks, doing nothing: production uses this class itself."""

    def observers(self) -> Sequence[Observer]:
        """Return further observers of what is served; called once, before everything else."""
        return ()

    def error_responses(self) -> ErrorResponses:
        """Return what clients are told of errors; called once."""
        return ErrorResponses()

    def add_pages(self, app: Flask) -> None:
        """Runs at the first request for a page: adds to the pages that every server has."""

    def doing(self) -> str:
        """Asked by probes: what keeps the server from scoring, if a feature knows; else ""."""
        return ""

    def add_to_state(self, document: dict[str, Any]) -> None:
        """Runs when a probe asks for the state: adds to the answer."""

    def connect(self, parts: Parts) -> Sequence[Route]:
        """Runs once everything is built; returns further rows for the route table."""
        del parts
        return ()

    def start(self) -> None:
        """Runs when the server starts."""

    def close(self) -> None:
        """Runs when the server has ended."""
