"""Turning new clients away from a listening socket while those who got in are still accepted.

Between the last ``accept()`` and ``close()`` the kernel may finish another handshake; that
client believes it is connected, sends its request, and is reset. So before closing, a filter on
the socket drops new connection attempts (and only those): handshakes under way are finished and
accepted, then no new client can connect. A client whose attempt was dropped tries again and
finds the port closed, as after any shutdown. The filter works for TCP on Linux; elsewhere the
short race remains.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; the socket module has no name for it
_FLAGS_AT: Final = 13  # of a TCP header, RFC 9293, 3.1
_SYN: Final = 0x02
_SYN_AND_ACK: Final = 0x12
_WHOLE: Final = 0xFFFFFFFF

# Classic BPF (bpf(4)): code, jump if true, jump if false, operand.
_PROGRAM: Final = (
    (0x30, 0, 0, _FLAGS_AT),  # load the byte with the flags
    (0x54, 0, 0, _SYN_AND_ACK),  # keep only these two flags
    (0x15, 0, 1, _SYN),  # SYN without ACK is a new attempt
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, _WHOLE),  # let anything else pass
)


def turn_away(listener: socket.socket) -> bool:
    """Drop new connection attempts; returns False where that can't be done.

    The filter stays with the socket, in every process that holds it, so this is only for sockets
    that no other process goes on using.
    """
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    code = b"".join(struct.pack("HBBI", *step) for step in _PROGRAM)
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(_PROGRAM), ctypes.addressof(instructions))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        return False
    return True
