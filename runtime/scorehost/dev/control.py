"""How ``scorehost debug`` reaches the server: a UNIX socket of the same user on the same machine.

Its name is in Linux's abstract namespace, so there is no file to leave behind, and the kernel
tells who connects: only the server's own user and root get an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from scorehost.errors import UsageError

Answer = dict[str, Any]
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: unix(7)
_ANSWER_WITHIN: Final = 40.0


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
        self._server: asyncio.AbstractServer | None = None

    async def open(self) -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address(self._port, os.getuid()))
        self._server = await asyncio.start_unix_server(self._client, sock=sock)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            if _caller(writer.get_extra_info("socket")) in (0, os.getuid()):
                word = (await reader.readline()).decode("ascii", "replace").strip()
                command = self._commands.get(word)
                answer = (
                    {"error": f"Unknown command: {word}."} if command is None else await command()
                )
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()


def _caller(sock: socket.socket) -> int:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def ask(port: int, command: str, user: int) -> Answer:
    """Ask a server of this user on this port.

    Raises
    ------
    UsageError
        There is none, it offers no debugger, or it does not answer.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_ANSWER_WITHIN)
        try:
            sock.connect(address(port, user))
            sock.sendall(command.encode() + b"\n")
            answer = sock.makefile().readline()
        except (ConnectionRefusedError, FileNotFoundError):
            raise UsageError(
                f"No server of yours on port {port} offers a debugger. The server must run on this "
                "machine (or in this container) under the same user, with --debug or "
                "SCOREHOST_DEBUG_ON_DEMAND=1. Use --port for a server on another port."
            ) from None
        except TimeoutError:
            raise UsageError(f"The server on port {port} did not answer in time.") from None
    if not answer:
        raise UsageError(f"The server on port {port} runs as another user and does not answer.")
    document: Answer = json.loads(answer)
    return document
