"""How ``scorehost debug`` reaches the server: a UNIX socket of the same user on the same machine.

Its name is in Linux's abstract namespace, so there is no file to leave behind; but any user can
take the name first, or connect to it. So each side asks the kernel who the other is before it
believes anything: only the server's own user and root get an answer, and only they are asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from scorehost.errors import UsageError

Answer = dict[str, Any]
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: unix(7)
_ROOT: Final = 0
_ANSWER_WITHIN: Final = 40.0
_ASKS_WITHIN: Final = 5.0
"""Seconds in which a client must have said what it wants."""
_LONGEST_COMMAND: Final = 100
_LONGEST_ANSWER: Final = 64 << 10
_AT_ONCE: Final = 8
"""Clients that are served at the same time."""
_TOLD: Final = frozenset({"host", "port", "listening", "attached", "paused"})
"""The keys that every answer has, unless it reports an error."""


class Peer(NamedTuple):
    """The process at the other end, as the kernel saw it when it connected or began to listen."""

    pid: int
    user: int

    def __str__(self) -> str:
        process = f"process {self.pid}" if self.pid else "a process in another container"
        return f"{process} of user {self.user}"


def peer_of(sock: Any) -> Peer:
    """Ask the kernel who is at the other end of a socket."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _group = _CREDENTIALS.unpack(raw)
    return Peer(pid, user)


def address(port: int, user: int) -> str:
    """The socket's name for a server on this port."""
    return f"\0scorehost-{user}-{port}"


class Control:
    """The server's end.

    Parameters
    ----------
    port : the scoring port, which names the server.
    commands : what can be asked.
    """

    def __init__(self, port: int, commands: Mapping[str, Callable[[], Awaitable[Answer]]]) -> None:
        self._port, self._commands = port, commands
        self._clients = 0
        self._server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        """Listen.

        Raises
        ------
        OSError
            Another process has the name.
        """
        name = address(self._port, os.getuid())
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(name)
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise OSError(
                f"{_holder(name)} uses the socket @{name[1:]}. Stop it or choose another --port, "
                "and restart this server"
            ) from error
        self._server = await asyncio.start_unix_server(
            self._client, sock=sock, limit=_LONGEST_COMMAND
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
                answer = await self._answer(reader, peer_of(writer.get_extra_info("socket")))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, peer: Peer) -> Answer:
        if peer.user not in (_ROOT, os.getuid()):
            return {"error": f"This server answers only user {os.getuid()} and root, not {peer}."}
        if self._clients > _AT_ONCE:
            return {"error": f"{_AT_ONCE} other commands are waiting for this server. Try again."}
        word = (await asyncio.wait_for(reader.readline(), _ASKS_WITHIN)).decode("ascii", "replace")
        command = self._commands.get(word.strip())
        return (
            {"error": f"Unknown command: {word.strip()}."} if command is None else await command()
        )


def _holder(name: str) -> str:
    """Who has a name."""
    with socket.socket(socket.AF_UNIX) as trial:
        trial.setblocking(False)
        try:
            trial.connect(name)
        except OSError:  # it does not listen, or too many wait for it
            return "another process"
        return str(peer_of(trial))


def ask(port: int, command: str, user: int) -> Answer:
    """Ask a server of this user on this port.

    Raises
    ------
    UsageError
        There is no such server, it does not offer a debugger, or it does not answer.
    """
    until = time.monotonic() + _ANSWER_WITHIN
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_ANSWER_WITHIN)
        try:
            sock.connect(address(port, user))
        except ConnectionRefusedError:
            raise UsageError(
                f"No server of yours on port {port} offers a debugger. The server must run on this "
                "machine (or in this container) under the same user, with --debug or "
                "SCOREHOST_DEBUG_ON_DEMAND=1. Use --port for a server on another port."
            ) from None
        except OSError as error:  # most likely too many others wait
            raise UsageError(
                f"The server on port {port} cannot be reached: {error.strerror}. Try again."
            ) from error
        peer = peer_of(sock)
        if peer.user not in (_ROOT, user):
            raise UsageError(
                f"{peer} uses the socket that belongs to a server of user {user} on port {port}. "
                "Nothing was sent to it, because its answers cannot be trusted. Stop that process, "
                "or run the server on another port."
            )
        try:
            line = _exchange(sock, command.encode() + b"\n", until)
        except TimeoutError:
            raise UsageError(f"The server on port {port} did not answer in time.") from None
    if not line:
        raise UsageError(
            f"The server on port {port} ended the connection without an answer. See its log."
        )
    return _understood(line, port)


def _exchange(sock: socket.socket, command: bytes, until: float) -> bytes:
    """Send a line and return the one that comes back; b"" when the other end leaves.

    Raises
    ------
    TimeoutError
        It has not come by then.
    """
    line = b""
    # A server that refuses to listen closes at once, but may have said why.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(command)
    with contextlib.suppress(ConnectionResetError):
        while not line.endswith(b"\n") and len(line) <= _LONGEST_ANSWER:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
            if not (received := sock.recv(_LONGEST_ANSWER)):
                break
            line += received
    return line


def _understood(line: bytes, port: int) -> Answer:
    """Parse the line that a server has answered with.

    Raises
    ------
    UsageError
        The line is not a valid answer.
    """
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(line) if len(line) <= _LONGEST_ANSWER else None
        if isinstance(document, dict) and ("error" in document or document.keys() >= _TOLD):
            return document
    raise UsageError(
        f"This version of scorehost does not understand the answer of the server on port {port}. "
        "Use the scorehost command of the version that the server runs."
    )
