"""The listening sockets: accepting, and ending so that nothing accepted is lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

import gunicorn.sock

from scorehost.errors import NotReady
from scorehost.front.front import Front
from scorehost.front.http.connection import Connection
from scorehost.front.http.syn_filter import turn_away

LINGER: Final = 1.0
"""Seconds that silent connections may go on, so that a request that is on its way finds
somebody."""
_ACCEPT_AT_ONCE: Final = 256
_ACCEPT_AGAIN: Final = 0.2
"""Seconds until the next attempt when the system has no descriptor left for a connection."""
_WATCH: Final = 0.02
_LET_GO: Final = 0.5
"""Seconds that the arbiter may take to close its copies of the sockets, once it means to."""
_LAST_HANDSHAKES: Final = 0.02
"""Seconds for handshakes that are under way when newcomers are turned away."""
_ENDING: Final = 5.0
"""Seconds that idle workers may take to end, as long as the grace time lasts."""


class Listening:
    """Accepts connections for a front, until it is told to stop.

    Parameters
    ----------
    front : serves them.
    sockets : gunicorn's listeners; with a health port, the last is that.
    cfg : gunicorn's configuration, for TLS.
    loop : the event loop.
    last_holder : whether no other process holds the sockets any more.
    """

    def __init__(
        self,
        front: Front,
        sockets: Sequence[Any],
        cfg: Any,
        loop: asyncio.AbstractEventLoop,
        last_holder: Callable[[], bool] = lambda: False,
    ) -> None:
        self._front = front
        self._loop = loop
        self._last_holder = last_holder
        self._listeners: list[socket.socket] = [each.sock for each in sockets]
        self._names = [str(each) for each in sockets]
        self._tls: ssl.SSLContext | None = gunicorn.sock.ssl_context(cfg) if cfg.is_ssl else None
        self._health = (
            self._listeners[-1].fileno() if front.settings.health_port is not None else -1
        )
        self._accepting: set[asyncio.Task[Any]] = set()
        self._draining = False
        self._interrupted = False
        self._end = 0.0

    def names(self) -> list[str]:
        """The addresses."""
        return self._names

    def start(self) -> None:
        """Accept connections."""
        for listener in self._listeners:
            listener.setblocking(False)
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accept what is there; a bounded number, so that the others get their turn too."""
        for _ in range(_ACCEPT_AT_ONCE):
            if not self._accept_one(listener):
                return

    def _accept_one(self, listener: socket.socket) -> bool:
        try:
            client, _address = listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:  # it has left again: accept(2) tells here
            return True
        except OSError as error:
            self._no_room(listener, error)
            return False
        client.setblocking(False)
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._connect(client, listener.fileno() == self._health))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)
        return True

    def _no_room(self, listener: socket.socket, error: OSError) -> None:
        """Descriptors or memory are used up: a socket that stays ready would make us spin."""
        self._front.log.error(f"cannot accept a connection: {error}")
        self._loop.remove_reader(listener.fileno())
        self._loop.call_later(_ACCEPT_AGAIN, self._accept_again, listener)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

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
        """Stop accepting, answer everything accepted, then stop."""
        if not self._draining:
            self._draining = True
            self._end = self._loop.time() + self._front.settings.shutdown_grace
            self._drained = self._loop.create_task(self._drain(stop))

    def interrupt(self, stop: Callable[[int], None]) -> None:
        """Ctrl-C: the arbiter has it too and has us drain; a second one does not wait."""
        if self._interrupted:
            stop(0)
        self._interrupted = True

    async def _drain(self, stop: Callable[[int], None]) -> None:
        front, settings = self._front, self._front.settings
        front.log.info("stopping: what was accepted is answered first")
        front.status.draining = True
        if settings.shutdown_delay:
            await asyncio.sleep(min(settings.shutdown_delay, settings.shutdown_grace))
        front.begin_draining()
        await self._close_listeners()
        closed = self._loop.time()
        # A tenth of the grace time, at most a second, is left for the ends of the workers.
        last = self._end - min(1.0, settings.shutdown_grace / 10)
        while self._loop.time() < last:
            self._close_silent(closed)
            arriving = self._accepting and self._loop.time() < closed + LINGER
            if not front.connections and not arriving:
                break
            await asyncio.sleep(_WATCH)
        left = front.unanswered()
        if left:
            front.log.error(
                f"{left} request(s) were not answered within {settings.shutdown_grace:g} s "
                "(SCOREHOST_SHUTDOWN_GRACE)"
            )
        stop(0)

    def _close_silent(self, since: float) -> None:
        """Close the connections of clients that say nothing, be it in the midst of a request."""
        now = self._loop.time()
        for connection in list(self._front.connections):
            if now >= max(since, connection.silent_since) + LINGER:
                connection.close()

    async def _close_listeners(self) -> None:
        """Accept what the kernel has accepted for us, then close.

        Where another process goes on with the sockets (a front that is told to end alone), it
        is the one to accept what waits.
        """
        for _ in range(round(_LET_GO / _WATCH)):
            if self._last_holder():
                break
            await asyncio.sleep(_WATCH)
        if self._last_holder() and [each for each in self._listeners if turn_away(each)]:
            await asyncio.sleep(_LAST_HANDSHAKES)
        for listener in self._listeners:
            self._loop.remove_reader(listener.fileno())
            while self._accept_one(listener):
                pass
            listener.close()

    async def close(self, status: int) -> None:
        """End the workers, answer who still waits for one, and close every connection."""
        front = self._front
        gone = self._loop.create_future()

        def all_gone() -> None:
            if not gone.done():
                gone.set_result(None)

        front.pool.on_empty = all_gone
        if status:
            front.pool.kill_all()
        front.pool.stop()
        front.dispatcher.refuse_all(NotReady("The server is stopping."))
        left = max(0.5, self._end - self._loop.time()) if self._draining else _ENDING
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(gone, min(_ENDING, left))
        front.pool.kill_all()
        for connection in list(front.connections):
            connection.close()
        await asyncio.sleep(0)  # what was written last is on its way
