"""Requests on the wire: front to worker.

They travel through a ``SOCK_SEQPACKET`` socket: one packet is one request. The kernel hands a
packet to exactly one reader, and the front keeps a copy of the worker's end; so receiving a packet
is the one atomic act of beginning it, and whatever the worker has not begun, the front can take
back by receiving it itself. Large bodies travel beside the packet as a memory file.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from scorehost import fast_json
from scorehost.errors import FrameError
from scorehost.wire.messages import HeaderList, ScoringRequest

PROTOCOL: Final = 1
"""Stands in the first packet; counted up whenever front and worker change how they speak."""

SETTINGS: Final = 0
SCORE_PLAIN: Final = 1  # a POST whose method, headers and address the script cannot see
SCORE_FULL: Final = 2  # everything the script may ask for
STOP: Final = 3
FORK: Final = 4
GO_ON: Final = 5  # to a worker that stops before each stage of its start

_REQUEST = struct.Struct("<BBHIQ")  # kind, 1 if the body is a memory file, id, meta, number
REQUEST_PREFIX: Final = _REQUEST.size
MEMORY_FILE_FROM: Final = 48 << 10
"""Bodies from this size travel as a memory file (bytes); a packet must fit the send buffer,
208 KiB by default on Linux (net.core.wmem_default), several times over."""
LARGEST_PACKET: Final = 192 << 10
_CUT: Final = int(socket.MSG_TRUNC) | int(socket.MSG_CTRUNC)  # an enum's "|" takes 2 µs


def pack_request(
    kind: int, number: int, request_id: bytes, meta: bytes, body: bytes, *, in_file: bool = False
) -> bytes:
    """Make one request packet."""
    prefix = _REQUEST.pack(kind, in_file, len(request_id), len(meta), number)
    return b"".join((prefix, request_id, meta, body))


def pack_plain(number: int, request_id: bytes, body: bytes, in_file: bool) -> bytes:
    """Make the packet of a POST without anything but its body."""
    size = len(request_id)
    return _REQUEST.pack(SCORE_PLAIN, in_file, size, 0, number) + request_id + body


def pack_meta(
    method: str, target: str, content_type: str, address: str, headers: HeaderList
) -> bytes:
    """Encode what only some scripts need to know of a request."""
    return fast_json.dumps((method, target, content_type, address, headers))


def pack_scoring_request(
    number: int, request_id: bytes, request: ScoringRequest, *, in_file: bool
) -> bytes:
    """Make a packet with the whole request, except a body that is in a memory file."""
    meta = pack_meta(
        request.method, request.target, request.content_type, request.remote_address,
        request.headers,
    )  # fmt: skip
    body = b"" if in_file else request.body
    return pack_request(SCORE_FULL, number, request_id, meta, body, in_file=in_file)


@dataclass
class Control:
    """A packet that is not a request to score."""

    kind: int
    body: bytes
    files: list[int]


class RequestReader:
    """The worker's end of the requests socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray(LARGEST_PACKET + 4096)
        self._buffers = [self._buffer]
        self._ancillary = socket.CMSG_SPACE(16 * 4)

    def next(self) -> tuple[int, bytes, ScoringRequest] | Control | None:
        """Begin the next packet: number, id and request; None when the front has closed its end.

        Raises
        ------
        FrameError
            The packet is larger than packets are.
        """
        buffer = self._buffer
        size, ancillary, flags, _ = self._socket.recvmsg_into(self._buffers, self._ancillary)
        if not size:
            return None
        if flags & _CUT:
            raise FrameError(f"A request packet of over {LARGEST_PACKET} bytes was truncated.")
        kind, in_file, id_size, meta_size, number = _REQUEST.unpack_from(buffer)
        start = REQUEST_PREFIX + id_size
        body = bytes(buffer[start + meta_size : size])  # half the time of a slice of a view
        if kind not in (SCORE_PLAIN, SCORE_FULL):
            return Control(kind, body, received_files(ancillary))
        request_id = bytes(buffer[REQUEST_PREFIX:start])
        if in_file:
            body = read_memory_file(received_files(ancillary)[0])
        if kind == SCORE_PLAIN:
            return number, request_id, ScoringRequest(body)
        meta = fast_json.loads(buffer[start : start + meta_size])
        method, target, content_type, address, headers = meta
        pairs = [(name, value) for name, value in headers]
        request = ScoringRequest.full(method, target, pairs, content_type, body, address)
        return number, request_id, request


def request_number(packet: bytes) -> int:
    """The number of a request that was taken back; 0 for a packet that is not a request."""
    kind, _in_file, _id_size, _meta_size, number = _REQUEST.unpack_from(packet)
    return int(number) if kind in (SCORE_PLAIN, SCORE_FULL) else 0


def received_files(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The file descriptors that came with a packet."""
    files: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            count = len(data) // 4
            files += struct.unpack(f"{count}i", data[: count * 4])
    return files


def read_memory_file(descriptor: int) -> bytes:
    """Read a whole memory file and close it."""
    try:
        size = os.fstat(descriptor).st_size
        body = os.pread(descriptor, size, 0)
        while len(body) < size:  # one pread stops at 2 GiB
            body += os.pread(descriptor, size - len(body), len(body))
        return body
    finally:
        os.close(descriptor)
