"""A real front on a real event loop, in the test's own process; no worker scores behind it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scorehost.front.features import Features
from scorehost.front.front import Front
from scorehost.front.http.listening import Listening
from scorehost.front.observe.log import Log
from scorehost.front.observe.writer import LogWriter
from scorehost.profile import Profile
from scorehost.sources import resolve


class LoopFront:
    """A front, its log in a file, and the sockets that it listens on.

    Parameters
    ----------
    folder : the app root.
    settings : environment variables.
    health_port : whether a second socket answers probes only.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, str] = {}, *, health_port: bool = False
    ) -> None:
        environ = {"AML_APP_ROOT": str(folder), "SCOREHOST_LOG_LEVEL": "DEBUG", **settings}
        self.settings = resolve({}, environ).settings
        self.loop = asyncio.get_running_loop()
        self._log_file = folder / "front.log"
        self._descriptor = os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._writer = LogWriter(self._descriptor)
        self.log = Log(self._writer, "DEBUG", "text", "own")
        self.stopped: list[int] = []
        self.front = Front(
            self.settings, Profile(), {}, self.log, self.loop, self.stopped.append, Features()
        )
        self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(1 + health_port)]
        self.ports = [each.getsockname()[1] for each in self.sockets]
        self.others_hold_the_sockets = False
        self.listening = Listening(
            self.front.context,
            [SimpleNamespace(sock=each) for each in self.sockets],
            has_health_port=health_port,
            cfg=SimpleNamespace(is_ssl=False),
            loop=self.loop,
            log=self.log,
            last_holder=lambda: not self.others_hold_the_sockets,
        )

    async def get(self, path: str, *, port: int = 0, head: str = "") -> tuple[int, bytes]:
        """Ask on a connection of one's own, which ends after it; status and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[port])
        return await exchange(reader, writer, path, head + "Connection: close\r\n")

    def read_log(self) -> str:
        """Everything logged so far; what comes later is written at once."""
        self._writer.close()
        return self._log_file.read_text()

    def close(self) -> None:
        """Let go of everything."""
        self.front.connections.end()
        self.front.close()
        self._writer.close()
        os.close(self._descriptor)
        for each in self.sockets:
            each.close()


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, head: str = ""
) -> tuple[int, bytes]:
    """Send a GET and read until the connection ends; status and body."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    first, _, rest = answer.partition(b"\r\n")
    return int(first.split()[1]), rest.partition(b"\r\n\r\n")[2]


@contextmanager
def loop_front(
    folder: Path, settings: Mapping[str, str] = {}, **options: Any
) -> Iterator[LoopFront]:
    """A front for as long as the block lasts; to be used within a running loop."""
    front = LoopFront(folder, settings, **options)
    try:
        yield front
    finally:
        front.close()
