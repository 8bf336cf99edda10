"""Clients that pipeline anything, read when they like, and leave as they like: nothing is left."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from pathlib import Path

import pytest

from support.client import request_bytes
from support.server import LiveServer, StartServer
from support.wait import wait_until

SCRIPT = """
import time

def init(): ...

def run(data):
    if data == "large":
        return "x" * 3_000_000
    if data == "stream":
        return ("y" * 50_000 for _ in range(40))
    if data == "slow":
        time.sleep(0.02)
    if data == "raise":
        raise ValueError
    return len(data)
"""
SETTINGS = {
    "WORKER_COUNT": "2",
    "SCOREHOST_MAX_QUEUE_BYTES": "4M",
    "SCOREHOST_MAX_BODY_BYTES": "4M",
    "SCOREHOST_MAX_UNTAKEN_BYTES": "8M",
    "SCOREHOST_MAX_QUEUE_LENGTH": "10",
    "SCOREHOST_MAX_CONNECTIONS": "40",
    "SCOREHOST_BODY_TIMEOUT": "2",
    "SCOREHOST_HEADER_TIMEOUT": "2",
}
STEPS = 4000
AT_ONCE = 30


def anything(dice: random.Random) -> bytes:
    """One request, good or bad."""
    size = dice.choice((1, 10, 1000, 70_000, 300_000, 900_000))
    body = b"y" * size
    chunked = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    offer = [("Connection", "Upgrade"), ("Upgrade", "h2c")]
    return dice.choice(
        (
            request_bytes("POST", "/score", body=body),
            request_bytes("POST", "/score", body=body),
            chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body),
            chunked + b"1\r\nq\r\n" * dice.randint(1, 3000) + b"0\r\n\r\n",
            request_bytes("GET", "/livez"),
            *(
                request_bytes("POST", "/score", body=each)
                for each in (b"large", b"stream", b"slow")
            ),
            request_bytes("POST", "/score", body=b"raise"),
            request_bytes("POST", "/score", body=body, headers=offer),
            request_bytes("POST", "/score", body=body, headers=[("Expect", "100-continue")]),
            b"BAD\r\n\r\n",
            b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
            request_bytes("POST", "/score", body=b"ok", headers=[("Connection", "close")]),
        )
    )


def be_rude(server: LiveServer, seed: int) -> None:
    """Do thousands of random things on some connections."""
    dice = random.Random(seed)
    clients: list[tuple[socket.socket, bytearray]] = []
    for _ in range(STEPS):
        if len(clients) < AT_ONCE:
            sock = socket.create_connection(("127.0.0.1", server.address.port), timeout=30)
            sock.setblocking(False)
            script = bytearray(b"".join(anything(dice) for _ in range(dice.randint(1, 6))))
            clients.append((sock, script))
        at = dice.randrange(len(clients))
        sock, script = clients[at]
        try:
            with contextlib.suppress(BlockingIOError):
                sent = sock.send(script[: dice.choice((1, 20, 500, 8192, 100_000, 1_000_000))])
                del script[:sent]
            if dice.random() < 0.3:
                with contextlib.suppress(BlockingIOError):
                    sock.recv(dice.choice((10, 4096, 1 << 20)))
            leaves = dice.random()
            if leaves > 0.97:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if leaves > 0.92 or (not script and leaves > 0.6):
                sock.close()
                del clients[at]
            elif leaves > 0.9:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            sock.close()
            del clients[at]
    for sock, _ in clients:
        sock.close()


def figure(server: LiveServer, name: str) -> float:
    (line,) = [
        each
        for each in server.get("/metrics").body.decode().splitlines()
        if each.startswith(f"{name} ")
    ]
    return float(line.split()[1])


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("uvloop", [True, False], ids=["uvloop", "asyncio"])
def test_rude_clients_leave_nothing(
    own_server: StartServer, tmp_path: Path, uvloop: bool, seed: int
) -> None:
    settings = dict(SETTINGS)
    if not uvloop:
        (tmp_path / "uvloop.py").write_text('raise ImportError("as if it were not installed")')
        settings["PYTHONPATH"] = str(tmp_path)
    server = own_server(files={"main.py": SCRIPT}, settings=settings)
    be_rude(server, seed)

    for name in ("scorehost_queue_bytes", "scorehost_untaken_bytes", "scorehost_queue_length"):
        wait_until(lambda name=name: figure(server, name) == 0, what=f"{name} is zero")
    wait_until(lambda: figure(server, "scorehost_connections") <= 2, what="they have gone")
    body = b"z" * 3_000_000
    assert server.post(body=body).json() == len(body)
    burst = [server.connect() for _ in range(25)]
    for client in burst:
        client.send_request("POST", "/score", body=b"slow")
    assert {client.read_response().status for client in burst} <= {200, 503}
    assert not server.lines("Exception in callback")
    assert not server.lines("Fatal error")
    assert not server.lines("sending an answer failed")
