"""The listening sockets: accepting connections, and closing so that none that came in is lost."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import gunicorn.sock

from scorehost.front.descriptors import spare_descriptors
from scorehost.front.http.connection import Connection
from scorehost.front.http.context import Context
from scorehost.front.http.syn_filter import turn_away
from scorehost.front.observe.log import Log

_ACCEPT_AT_ONCE: Final = 4
"""Connections in one turn of the loop, so that a flood of them lets others have theirs: each costs
some 100 µs, and whoever is served meanwhile waits for a few turns."""
_ACCEPT_AGAIN: Final = 0.2
"""Seconds until the next attempt when the system has no descriptor left for a connection."""
_TELL_EVERY: Final = 10.0
_WATCH: Final = 0.02
_LET_GO: Final = 0.5
"""Seconds that the arbiter may take to close its copies of the sockets, once it has begun to."""
_LAST_HANDSHAKES: Final = 0.02
"""Seconds for handshakes that are under way when new clients are turned away."""


class Listening:
    """Accepts connections until it is closed.

    Parameters
    ----------
    sockets : gunicorn's listeners; the last one is that of the health port, if there is one.
    cfg : gunicorn's configuration, for TLS.
    last_holder : whether no other process holds the sockets any more.
    """

    def __init__(
        self,
        context: Context,
        sockets: Sequence[Any],
        *,
        has_health_port: bool,
        cfg: Any,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        last_holder: Callable[[], bool] = lambda: False,
    ) -> None:
        self._context = context
        self._loop = loop
        self._log = log
        self._last_holder = last_holder
        self._listeners: list[socket.socket] = [each.sock for each in sockets]
        self._names = [str(each) for each in sockets]
        self._tls: ssl.SSLContext | None = gunicorn.sock.ssl_context(cfg) if cfg.is_ssl else None
        self._unix = {each.fileno() for each in self._listeners if each.family == socket.AF_UNIX}
        self._health = self._listeners[-1].fileno() if has_health_port else -1
        self._told = self._turned_away = 0
        self._tells_again = False
        self._accepting: set[asyncio.Task[Any]] = set()

    @property
    def accepting(self) -> bool:
        """Whether a connection that was accepted is still being set up, as with TLS."""
        return bool(self._accepting)

    def names(self) -> list[str]:
        return self._names

    def start(self) -> None:
        for listener in self._listeners:
            listener.setblocking(False)
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accept what is there, but only so many that other events get their turn too."""
        for _ in range(_ACCEPT_AT_ONCE):
            if not self._accept_one(listener):
                return

    def _accept_one(self, listener: socket.socket) -> bool:
        try:
            client, _address = listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:  # the client has left already; accept(2) reports it here
            return True
        except OSError as error:
            self._no_room(listener, error)
            return False
        client.setblocking(False)
        if listener.fileno() not in self._unix:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        health = listener.fileno() == self._health
        connection = Connection(self._context, health_only=health)
        has_place = self._has_place(connection, client)
        if self._context.connections.made_room > self._told:
            self._tell_of_closed()
        if not has_place:
            connection.connection_lost(None)
            client.close()
            self._turned_away += 1
            self._tell_of_closed()
            return True
        task = self._loop.create_task(self._connect(client, connection))
        if self._tls is not None and not health:
            connection.give_up_handshake = task.cancel
        self._accepting.add(task)
        task.add_done_callback(partial(self._connected, client, connection))
        return True

    def _tell_of_closed(self) -> None:
        """Log how many were closed for want of places, but not more often than anybody reads it."""
        if self._tells_again:
            return
        made_room = self._context.connections.made_room
        closed, self._told = made_room - self._told, made_room
        turned_away, self._turned_away = self._turned_away, 0
        if not closed + turned_away:
            return
        limits = "(SCOREHOST_MAX_CONNECTIONS, and the limit on open files)"
        if closed:
            self._log.warning(f"connections closed to make room for new ones: {closed} {limits}")
        if turned_away:
            self._log.warning(
                f"new connections closed at once: {turned_away}; all places are taken by requests "
                f"that are waiting or being served {limits}"
            )
        self._tells_again = True
        self._loop.call_later(_TELL_EVERY, self._tell_what_followed)

    def _tell_what_followed(self) -> None:
        self._tells_again = False
        self._tell_of_closed()

    def _has_place(self, connection: Connection, client: socket.socket) -> bool:
        """Find a place for a connection; it is to be closed at once when all are taken."""
        connections = self._context.connections
        if not connection.health_only and client.fileno() >= spare_descriptors():
            return connections.make_room() and connections.opened(connection)
        return connections.opened(connection)

    def _no_room(self, listener: socket.socket, error: OSError) -> None:
        """Pause: as no descriptor is left, a socket that stays ready would make the loop spin."""
        self._log.error(f"a connection could not be accepted: {error}")
        self._loop.remove_reader(listener.fileno())
        self._loop.call_later(_ACCEPT_AGAIN, self._accept_again, listener)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    async def _connect(self, client: socket.socket, connection: Connection) -> None:
        tls = None if connection.health_only else self._tls
        await self._loop.connect_accepted_socket(lambda: connection, client, ssl=tls)

    def _connected(
        self, client: socket.socket, connection: Connection, task: asyncio.Task[None]
    ) -> None:
        """Let go of what could not be set up: a failed or slow handshake is the client's fault."""
        self._accepting.discard(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self._log.debug(f"a connection could not be set up: {error or 'it took too long'}")
            connection.connection_lost(None)  # the loop does not call it where it has cancelled
            client.close()

    async def close(self) -> None:
        """Accept what the kernel has accepted for us, then close.

        Where another process goes on using the sockets (only this front was told to end), that
        process accepts what waits.
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
