"""An HTTP client on a bare socket.

It sends exactly the bytes it is given, however wrong they are, and is strict about what it
gets: an answer that breaks HTTP's framing fails the test that received it.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

Headers: TypeAlias = Iterable[tuple[str, str]]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
STATUS_LINE = re.compile(r"HTTP/(1\.[01]) ([1-5][0-9][0-9]) ([^\r\n]*)")


class ProtocolViolation(AssertionError):
    """The server sent something that is not HTTP."""


class ConnectionEnded(Exception):
    """The server ended the connection before the answer was complete."""

    def __init__(self, received: bytes, how: str) -> None:
        super().__init__(f"{how}, after {received[-200:]!r}")
        self.received, self.how = received, how


@dataclass(frozen=True)
class Response:
    """One answer, as it came."""

    version: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    chunks: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8")

    def json(self) -> Any:
        """The body as JSON, which the headers must call so."""
        assert self.content_type == "application/json", f"{self.content_type}: {self.body[:200]!r}"
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The text of an error answer: ``{"message": …}`` and at least that."""
        message = self.json()["message"]
        assert isinstance(message, str)
        return message

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header that stands there at most once."""
        values = self.all(name)
        assert len(values) < 2, f"{name} stands there {len(values)} times: {values}"
        return values[0] if values else None

    def names(self) -> set[str]:
        """The names of all headers, lower case."""
        return {key.lower() for key, _ in self.headers}

    def listed(self, name: str) -> set[str]:
        """The members of a comma-separated header, lower case."""
        values = ",".join(self.all(name)).lower()
        return {part.strip() for part in values.split(",") if part.strip()}


@dataclass(frozen=True)
class Address:
    """Where a server listens: a host and port, or the path of a UNIX socket."""

    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None
    tls: ssl.SSLContext | None = None

    def open(self, timeout: float) -> socket.socket:
        """Connect."""
        if self.path is not None:
            return _connect_to_file(self.path, timeout)
        plain = socket.create_connection((self.host, self.port), timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is None:
            return plain
        return self.tls.wrap_socket(plain, server_hostname=self.host)


def _connect_to_file(path: Path, timeout: float) -> socket.socket:
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    plain.settimeout(timeout)
    try:
        plain.connect(str(path))
    except OSError:
        plain.close()
        raise
    return plain


class Connection:
    """One connection: write bytes, read answers."""

    def __init__(self, address: Address, timeout: float = 60.0) -> None:
        self.address = address
        self.socket = address.open(timeout)
        self._buffer = b""
        self._ended = ""

    # -- writing --------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Write these bytes and nothing else."""
        self.socket.sendall(data)

    def send_request(
        self,
        method: str,
        target: str,
        *,
        headers: Headers = (),
        body: bytes | None = None,
        version: str = "1.1",
    ) -> None:
        """Write one well-formed request."""
        self.send(request_bytes(method, target, headers=headers, body=body, version=version))

    def half_close(self) -> None:
        """Say that no more will come, and stay to read."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish, as a client does whose machine was switched off and on again."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    # -- reading --------------------------------------------------------------------------

    def request(self, method: str, target: str, **options: Any) -> Response:
        """Write one request and read its answer."""
        self.send_request(method, target, **options)
        return self.read_response(method)

    def read_response(self, method: str = "GET") -> Response:
        """Read one answer, complete with its body; an interim one (1xx) counts as one."""
        head = self.read_head()
        if method == "HEAD" or head.status < 200 or head.status in (204, 304):
            return head
        if "chunked" in head.listed("Transfer-Encoding"):
            chunks = tuple(self.iter_chunks())
            return replace(head, body=b"".join(chunks), chunks=chunks)
        length = head.header("Content-Length")
        if length is not None:
            return replace(head, body=self._take(int(length)))
        if "close" not in head.listed("Connection") and head.version == "1.1":
            raise ProtocolViolation(f"a body without length or end: {head}")
        return replace(head, body=self.read_to_end())

    def read_response_or_end(self) -> Response | None:
        """Read one answer, or None when the server ends the connection without a word."""
        try:
            return self.read_response()
        except ConnectionEnded as ended:
            if ended.received:
                raise
            return None

    def read_head(self) -> Response:
        """Read an answer up to its headers' end."""
        match = STATUS_LINE.fullmatch(self._line())
        if match is None:
            raise ProtocolViolation("the status line is not one")
        headers = []
        while line := self._line():
            name, colon, value = line.partition(":")
            if not colon or not TOKEN.fullmatch(name) or "\0" in value:
                raise ProtocolViolation(f"not a header: {line!r}")
            headers.append((name, value.strip()))
        head = Response(match[1], int(match[2]), match[3], tuple(headers))
        _check_framing(head)
        return head

    def read_chunk(self) -> bytes:
        """Read one chunk of a chunked body; the last is empty."""
        size_line = self._line()
        if not re.fullmatch(r"[0-9a-fA-F]+", size_line):
            raise ProtocolViolation(f"not a chunk size: {size_line!r}")
        data = self._take(int(size_line, 16))
        if self._take(2) != b"\r\n":
            raise ProtocolViolation("a chunk without its line end (or with trailers)")
        return data

    def iter_chunks(self) -> Iterator[bytes]:
        """Read chunk after chunk until the empty one."""
        while chunk := self.read_chunk():
            yield chunk

    def read_to_end(self) -> bytes:
        """Read whatever comes until the server closes."""
        while self._fill():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def at_end(self) -> bool:
        """Wait for the server's end of the connection: true when nothing came before it."""
        return not self._buffer and not self._fill()

    @property
    def how_ended(self) -> str:
        """How the server ended the connection: "", "closed" or "reset"."""
        return self._ended

    def silent(self, seconds: float = 0.1) -> bool:
        """Nothing comes, and nothing ends, for a moment."""
        if self._buffer or self._ended:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._fill()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)
        return False

    def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            self._need()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        if b"\n" in line or b"\r" in line:
            raise ProtocolViolation(f"a bare line end in {line!r}")
        return line.decode("latin-1")

    def _take(self, count: int) -> bytes:
        parts, have = [], 0
        while have + len(self._buffer) < count:
            parts.append(self._buffer)
            have += len(self._buffer)
            self._buffer = b""
            self._need(b"".join(parts[-1:]))
        rest = count - have
        parts.append(self._buffer[:rest])
        self._buffer = self._buffer[rest:]
        return b"".join(parts)

    def _need(self, before: bytes = b"") -> None:
        if not self._fill():
            raise ConnectionEnded(before + self._buffer, self._ended)

    def _fill(self) -> bool:
        if self._ended:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError):
            self._ended = "reset"
            return False
        if not data:
            self._ended = "closed"
        self._buffer += data
        return bool(data)

    # -- closing --------------------------------------------------------------------------

    def close(self) -> None:
        """Close our side."""
        self.socket.close()

    @property
    def is_closed(self) -> bool:
        """We have closed it."""
        return self.socket.fileno() < 0

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_framing(head: Response) -> None:
    encoding, lengths = head.all("Transfer-Encoding"), head.all("Content-Length")
    if encoding and lengths:
        raise ProtocolViolation(f"both Transfer-Encoding and Content-Length: {head}")
    if len(lengths) > 1 or not all(re.fullmatch(r"[0-9]+", each) for each in lengths):
        raise ProtocolViolation(f"Content-Length is {lengths}")
    if (head.status < 200 or head.status == 204) and (encoding or lengths):
        raise ProtocolViolation(f"{head.status} has no body: {head}")


def request_bytes(
    method: str,
    target: str,
    *,
    headers: Headers = (),
    body: bytes | None = None,
    version: str = "1.1",
) -> bytes:
    """One well-formed request: Host and Content-Length are added when they are missing."""
    lines = list(headers)
    names = {name.lower() for name, _ in lines}
    if "host" not in names:
        lines.insert(0, ("Host", "localhost"))
    framed = names & {"content-length", "transfer-encoding"}
    if (body is not None or method in {"POST", "PUT", "PATCH"}) and not framed:
        lines.append(("Content-Length", str(len(body or b""))))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{method} {target} HTTP/{version}\r\n{head}\r\n".encode("latin-1") + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    """A chunked body of these chunks."""
    parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join([*parts, b"0\r\n\r\n"])
