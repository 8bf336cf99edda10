"""The listening sockets: accepting, and ending so that nothing accepted is lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import gunicorn.sock

from scorehost.front.connection import Connection
from scorehost.front.front import Front

LINGER: Final = 1.0
"""Seconds that idle connections may go on after the rest is answered, so that a request that
is on its way finds somebody."""
_ACCEPT_AT_ONCE: Final = 256
_WATCH: Final = 0.02


class Listening:
    """Accepts connections for a front, until it is told to stop.

    Parameters
    ----------
    front : serves them.
    sockets : gunicorn's listeners; with a health port, the last is that.
    cfg : gunicorn's configuration, for TLS.
    loop : the event loop.
    """

    def __init__(
        self, front: Front, sockets: Sequence[Any], cfg: Any, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._front = front
        self._loop = loop
        self._listeners: list[socket.socket] = [each.sock for each in sockets]
        self._names = [str(each) for each in sockets]
        self._tls: ssl.SSLContext | None = gunicorn.sock.ssl_context(cfg) if cfg.is_ssl else None
        self._health = (
            self._listeners[-1].fileno() if front.settings.health_port is not None else -1
        )
        self._accepting: set[asyncio.Task[Any]] = set()
        self._draining = False

    def names(self) -> list[str]:
        """The addresses."""
        return self._names

    def start(self) -> None:
        """Accept connections."""
        for listener in self._listeners:
            listener.setblocking(False)
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        health = listener.fileno() == self._health
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                client, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors, mostly: the next round tries again
                self._front.log.error(f"cannot accept a connection: {error}")
                return
            client.setblocking(False)
            if client.family != socket.AF_UNIX:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._connect(client, health))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _connect(self, client: socket.socket, health: bool) -> None:
        front = self._front
        try:
            await self._loop.connect_accepted_socket(
                lambda: Connection(front, health_only=health),
                client,
                ssl=None if health else self._tls,
            )
        except (OSError, ssl.SSLError) as error:  # a handshake that failed is the client's
            front.log.debug(f"a connection did not come about: {error}")
            client.close()

    # -- the end ------------------------------------------------------------------------------

    def drain(self, stop: Callable[[int], None]) -> None:
        """Stop accepting, answer everything accepted, then stop; a second call does not wait."""
        if self._draining:
            stop(0)
            return
        self._draining = True
        task = self._loop.create_task(self._drain(stop))
        self._accepting.add(task)

    async def _drain(self, stop: Callable[[int], None]) -> None:
        front = self._front
        settings = front.settings
        front.log.info("stopping: what was accepted is answered first")
        front.status.draining = True
        end = self._loop.time() + settings.shutdown_grace
        if settings.shutdown_delay:
            await asyncio.sleep(min(settings.shutdown_delay, settings.shutdown_grace))
        self._close_listeners()
        front.begin_draining()
        quiet_until = self._loop.time() + LINGER
        while self._loop.time() < end:
            if front.nothing_to_answer() and (
                not front.connections or self._loop.time() >= quiet_until
            ):
                break
            await asyncio.sleep(_WATCH)
        left = front.unanswered()
        if left:
            front.log.error(
                f"{left} request(s) were not answered within {settings.shutdown_grace:g} s "
                "(SCOREHOST_SHUTDOWN_GRACE)"
            )
        stop(0)

    def _close_listeners(self) -> None:
        """Accept what the kernel has already accepted for us, then close."""
        for listener in self._listeners:
            self._loop.remove_reader(listener.fileno())
            self._accept(listener)
            listener.close()

    async def close(self, status: int) -> None:
        """Close every connection and end the workers."""
        front = self._front
        for connection in list(front.connections):
            connection.close()
        done = self._loop.create_future()

        def gone() -> None:
            if not done.done():
                done.set_result(None)

        front.pool.on_empty = gone
        if status:
            front.pool.kill_all()
        front.pool.stop()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(done, 5.0)
        front.pool.kill_all()
