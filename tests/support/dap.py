"""A client of the Debug Adapter Protocol, as an editor is one, on a bare socket."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any


class DapClient:
    """One editor attached to one port.

    Parameters
    ----------
    port : where the debugger listens on 127.0.0.1.
    timeout : seconds that any answer or event may take.
    """

    def __init__(self, port: int, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
        self._timeout = timeout
        self._buffer = b""
        self._numbers = itertools.count(1)
        self._events: deque[dict[str, Any]] = deque()
        self._responses: dict[int, dict[str, Any]] = {}

    # -- messages -------------------------------------------------------------------------

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request; returns its number."""
        number = next(self._numbers)
        message = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        return number

    def ask(self, command: str, **arguments: Any) -> Any:
        """Send a request and wait for its answer, which must be a success."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number: int) -> Any:
        """Wait for the answer to a request."""
        while number not in self._responses:
            self._read()
        response = self._responses.pop(number)
        assert response["success"], response
        return response.get("body", {})

    def event(self, name: str) -> dict[str, Any]:
        """Wait for the next event of this name; others in between are dropped."""
        while True:
            while self._events:
                event = self._events.popleft()
                if event["event"] == name:
                    return event.get("body", {})
            self._read()

    def _read(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = int(head.rpartition(b":")[2])
        self._buffer = rest
        while len(self._buffer) < length:
            self._fill()
        message = json.loads(self._buffer[:length])
        self._buffer = self._buffer[length:]
        if message["type"] == "event":
            self._events.append(message)
        elif message["type"] == "response":
            self._responses[message["request_seq"]] = message

    def _fill(self) -> None:
        self.socket.settimeout(self._timeout)
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the debugger has closed the connection")
        self._buffer += data

    # -- what an editor does --------------------------------------------------------------

    def attach(
        self,
        breakpoints: dict[Path, list[int]] | None = None,
        exceptions: tuple[str, ...] = (),
        mappings: dict[Path, str] | None = None,
    ) -> DapClient:
        """Attach with breakpoints by file; the mappings say where local folders are there."""
        self.ask("initialize", clientID="test", adapterID="debugpy", pathFormat="path")
        roots = [
            {"localRoot": str(here), "remoteRoot": there}
            for here, there in (mappings or {}).items()
        ]
        attaching = self.send("attach", justMyCode=True, restart=True, pathMappings=roots)
        self.event("initialized")
        for file, lines in (breakpoints or {}).items():
            places = [{"line": line} for line in lines]
            found = self.ask("setBreakpoints", source={"path": str(file)}, breakpoints=places)[
                "breakpoints"
            ]
            assert [each["line"] for each in found] == lines, found
        self.ask("setExceptionBreakpoints", filters=list(exceptions))
        self.ask("configurationDone")
        self.answer(attaching)
        return self

    def stopped(self) -> dict[str, Any]:
        """Wait until the script stands still; the frame it stands in."""
        self.thread = self.event("stopped")["threadId"]
        trace = self.ask("stackTrace", threadId=self.thread, startFrame=0, levels=20)
        self.frames = trace["stackFrames"]
        return self.frames[0]

    def evaluate(self, expression: str, frame: dict[str, Any] | None = None) -> str:
        """The value of an expression where the script stands."""
        where = (frame or self.frames[0])["id"]
        answer = self.ask("evaluate", expression=expression, frameId=where, context="repl")
        return str(answer["result"])

    def variables(self, frame: dict[str, Any] | None = None) -> dict[str, str]:
        """The local variables where the script stands."""
        frame = frame or self.frames[0]
        scopes = self.ask("scopes", frameId=frame["id"])["scopes"]
        self.locals = scopes[0]["variablesReference"]
        found = self.ask("variables", variablesReference=self.locals)["variables"]
        return {each["name"]: each["value"] for each in found}

    def set(self, name: str, value: str) -> None:
        """Change a local variable; :meth:`variables` was called before."""
        self.ask("setVariable", variablesReference=self.locals, name=name, value=value)

    def go_on(self) -> None:
        """Continue."""
        self.ask("continue", threadId=self.thread)

    def close(self) -> None:
        """Leave; the script goes on."""
        self.socket.close()

    def __enter__(self) -> DapClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
