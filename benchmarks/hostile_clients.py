"""What does a well-behaved client notice of hostile ones, and what do they cost in memory?

Twenty hostile clients of one kind at a time, then of all kinds at once, do what they do for as long
as it is measured. Those that pipeline hold nothing: they use up the processor, so all kinds at once
are measured without and with them. Beside them a well-behaved client scores, on a connection that
it keeps and on a new one each time. Its 99th percentile and its failures stand beside those without
hostile clients. The memory of the front, with the memory files that hold large bodies, is drawn
over time, with the bound that the settings set.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

from harness import figures, machine, payloads, processes, results, table
from harness.chart import Line, line_chart
from harness.servers import LOOPBACK, RunningServer, running
from peers import catalogue

CLIENTS = 20
MIB = 1 << 20
BUDGET = 128 * MIB
CONNECTIONS = 500
OPTIONS = (
    "--max-queue-bytes", str(BUDGET), "--max-untaken-bytes", str(BUDGET),
    "--max-connections", str(CONNECTIONS), "--body-timeout", "10",
)  # fmt: skip
SAMPLE_EVERY = 0.5
AGAIN = 1.0
"""Seconds until a hostile client that was cut off, or closed out, comes again."""

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Hostile: TypeAlias = Callable[[int], Awaitable[None]]


# -- the hostile clients ----------------------------------------------------------------------


def post(length: int, path: str = "/score", version: str = "1.1", more: bytes = b"") -> bytes:
    head = f"POST {path} HTTP/{version}\r\nHost: {LOOPBACK}\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + more


async def connect(port: int) -> Streams:
    """Connect with a small buffer, so that the kernel takes little for who does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (LOOPBACK, port))
    return await asyncio.open_connection(sock=sock, limit=1024)


async def until_closed(streams: Streams) -> None:
    """Send and read nothing until the server ends the connection."""
    while True:
        await asyncio.sleep(0.05)
        if streams[0].at_eof() or streams[1].is_closing():
            return
        sock = streams[1].get_extra_info("socket")
        if sock.fileno() < 0:
            return


async def announces(port: int) -> None:
    """Announce 100 MiB and send nothing."""
    streams = await connect(port)
    streams[1].write(post(100 * MIB))
    await until_closed(streams)


async def stands_still(port: int) -> None:
    """Send 20 MB of a body, and then no more."""
    streams = await connect(port)
    streams[1].write(post(50_000_000))
    piece = b" " * 250_000
    for _ in range(80):
        streams[1].write(piece)
        await streams[1].drain()
    await until_closed(streams)


async def trickles(port: int) -> None:
    """Send 10 MB of a body, then a few bytes again and again."""
    streams = await connect(port)
    streams[1].write(post(50_000_000, more=b" " * 10_000_000))
    await streams[1].drain()
    while True:
        streams[1].write(b" ")
        await streams[1].drain()
        await asyncio.sleep(0.1)


async def tiny_chunks(port: int) -> None:
    """Send a body without end, two bytes to a chunk."""
    streams = await connect(port)
    streams[1].write(b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        streams[1].write(b"2\r\n  \r\n" * 100)
        await streams[1].drain()
        await asyncio.sleep(0.05)


async def _crowd(port: int, sent: bytes) -> None:
    """Keep fifty connections that say so much; each second those that were closed are made anew."""
    loop = asyncio.get_running_loop()
    crowd: list[socket.socket] = []
    try:
        while True:
            for sock in [each for each in crowd if _is_closed(each)]:
                crowd.remove(sock)
                sock.close()
            while len(crowd) < 50:
                sock = socket.socket()
                sock.setblocking(False)
                crowd.append(sock)
                await loop.sock_connect(sock, (LOOPBACK, port))
                await loop.sock_sendall(sock, sent)
            await asyncio.sleep(AGAIN)
    finally:
        for sock in crowd:
            sock.close()


def _is_closed(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


async def connects(port: int) -> None:
    """Keep fifty connections open, and say nothing."""
    await _crowd(port, b"")


async def half_heads(port: int) -> None:
    """Keep fifty connections in the middle of their headers."""
    await _crowd(port, post(10)[:-4])


async def reads_nothing(port: int) -> None:
    """Ask for 20 MB, and take none of it."""
    streams = await connect(port)
    body = json.dumps({"size": 20_000_000}).encode()
    streams[1].write(post(len(body), more=body))
    await until_closed(streams)


async def reads_little(port: int) -> None:
    """Ask for 20 MB, and take a kilobyte now and then."""
    streams = await connect(port)
    body = json.dumps({"size": 20_000_000}).encode()
    streams[1].write(post(len(body), more=body))
    while await streams[0].read(1024):  # noqa: ASYNC110 - the pause is what it is about
        await asyncio.sleep(0.2)


async def reads_no_small_ones(port: int) -> None:
    """Pipeline requests for answers of 500 kB, and read none of them."""
    streams = await connect(port)
    body = json.dumps({"size": 500_000}).encode()
    streams[1].write(post(len(body), more=body) * 40)
    await until_closed(streams)


async def pipelines(port: int) -> None:
    """Pipeline requests with heads of 60 kB, and read the answers."""
    reader, writer = await connect(port)
    one = f"GET /livez?{'a' * 60_000} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    while not reader.at_eof():
        writer.write(one * 8)
        await writer.drain()
        await reader.read(1 << 20)


KINDS: dict[str, Hostile] = {
    each.__name__.replace("_", " "): each
    for each in (
        announces, stands_still, trickles, tiny_chunks, connects, half_heads, reads_nothing,
        reads_little, reads_no_small_ones, pipelines,
    )
}  # fmt: skip


async def _again_and_again(hostile: Hostile, port: int) -> None:
    await asyncio.sleep(random.random() * AGAIN)  # they don't march in step
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await hostile(port)
        await asyncio.sleep(AGAIN)


def attack(kinds: list[str], port: int) -> None:
    """Be twenty clients of each kind, in a process of its own that gives way to others."""
    os.nice(19)

    async def all_of_them() -> None:
        await asyncio.gather(
            *(_again_and_again(KINDS[kind], port) for kind in kinds for _ in range(CLIENTS))
        )

    asyncio.run(all_of_them())


# -- the well-behaved client ------------------------------------------------------------------


@dataclass
class WellBehaved:
    """A client that scores ten times a second on each of two kinds of connection."""

    port: int
    kept: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        kept = http.client.HTTPConnection(LOOPBACK, self.port, timeout=20)
        while time.monotonic() < end:
            self._score(kept, self.kept)
            with contextlib.closing(
                http.client.HTTPConnection(LOOPBACK, self.port, timeout=20)
            ) as new:
                self._score(new, self.new)
            time.sleep(0.02)
        kept.close()

    def _score(self, connection: http.client.HTTPConnection, times: list[float]) -> None:
        began = time.perf_counter()
        try:
            if connection.sock is None:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.request("POST", "/score", payloads.GUIDE.body)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.failures.append(repr(error))
            return
        if response.status != 200 or json.loads(body) != payloads.GUIDE.answer:
            self.failures.append(f"{response.status} {body[:200]!r}")
        times.append(1000 * (time.perf_counter() - began))


@dataclass(frozen=True)
class Sample:
    """What the well-behaved client met, and what the front held, beside one kind."""

    kind: str
    requests: int
    failures: int
    examples: list[str]
    kept_p99_ms: float
    new_p99_ms: float
    memory_mb: list[float]

    @property
    def peak_mb(self) -> float:
        return max(self.memory_mb)


def front_memory(pid: int) -> float:
    """Megabytes that the front holds: its own, and its memory files."""
    own = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss:", "SwapPss:")):
                own += int(line.split()[1]) << 10
    files = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "memfd:scorehost-body" in str(each.readlink()):
                files += each.stat().st_blocks * 512
    return (own + files) / MIB


def front_of(server: RunningServer) -> int:
    """The process that holds the connections: the arbiter's only child."""
    (front,) = [each for each in processes.tree(server.pid) if each.parent == server.pid]
    return front.pid


def take(kinds: list[str], name: str, seconds: float) -> Sample:
    """Measure beside some kinds of hostile clients, or beside none."""
    machine.wait_until_quiet()
    spec = catalogue.ours("any_size.py", *OPTIONS)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(spec, payloads.GUIDE, Path(folder) / "log") as server,
    ):
        front = front_of(server)
        attacker = multiprocessing.get_context("spawn").Process(
            target=attack, args=(kinds, server.port), daemon=True
        )
        if kinds:
            attacker.start()
        client, memory = WellBehaved(server.port), []
        thread = threading.Thread(target=client.run, args=(seconds,))
        thread.start()
        while thread.is_alive():
            memory.append(front_memory(front))
            thread.join(SAMPLE_EVERY)
        if kinds:
            attacker.kill()
            attacker.join()
    return Sample(
        name,
        len(client.kept) + len(client.new),
        len(client.failures),
        sorted(set(client.failures))[:3],
        figures.percentile(client.kept or [20_000.0], 0.99),
        figures.percentile(client.new or [20_000.0], 0.99),
        memory,
    )


# -- what is shown ----------------------------------------------------------------------------


def as_table(samples: list[Sample]) -> str:
    """What the well-behaved client met beside each kind, and its ratio to meeting none."""
    base = samples[0]
    header = ["beside", "requests", "failures", "p99 ms, kept", "ratio", "p99 ms, new", "ratio",
              "front's peak MB"]  # fmt: skip
    rows = [
        [
            each.kind,
            f"{each.requests:,}",
            str(each.failures),
            f"{each.kept_p99_ms:.1f}",
            f"{each.kept_p99_ms / base.kept_p99_ms:.2f}",
            f"{each.new_p99_ms:.1f}",
            f"{each.new_p99_ms / base.new_p99_ms:.2f}",
            f"{each.peak_mb:.0f}",
        ]
        for each in samples
    ]
    return table.markdown(header, rows)


def as_chart(samples: list[Sample], seconds: float) -> str:
    """The front's memory over time beside each kind, and the bound."""
    places = max(len(each.memory_mb) for each in samples)
    bound = 2 * BUDGET / MIB + samples[0].peak_mb
    lines = [Line("bound by the settings", [bound] * places)]
    lines += [
        Line(each.kind, [*each.memory_mb, *[None] * (places - len(each.memory_mb))])
        for each in samples
    ]
    return line_chart(
        "What hostile clients make the front hold",
        f"MB, with memory files; {CLIENTS} clients of each kind at once; "
        f"{BUDGET // MIB} MiB for bodies, {BUDGET // MIB} MiB for answers",
        f"Below: seconds. One run of {seconds:g} s each.",
        [f"{place * SAMPLE_EVERY:g}" for place in range(places)],
        lines,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"which; all when none is named: {list(KINDS)}")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--name", default="hostile_clients", help="name of the result files")
    options = parser.parse_args()
    kinds = options.kinds or list(KINDS)
    machine.pin_to_client()
    runs: list[tuple[list[str], str]] = [([], "none"), *(([kind], kind) for kind in kinds)]
    if not options.kinds:
        holders = [kind for kind in kinds if kind != "pipelines"]
        runs += [(holders, "all that hold something"), (kinds, "these, and pipelines")]
    samples = []
    for hostile, name in runs:
        samples.append(take(hostile, name, options.seconds))
        print(samples[-1].kind, samples[-1].examples, file=sys.stderr, flush=True)
    shown = as_table(samples)
    print(shown)
    file = results.write(
        options.name, __doc__ or "", [catalogue.ours("any_size.py", *OPTIONS)],
        {"seconds": options.seconds, "options": OPTIONS, "samples": [asdict(s) for s in samples]},
    )  # fmt: skip
    file.with_suffix(".md").write_text(shown, "utf-8")
    file.with_suffix(".svg").write_text(as_chart(samples, options.seconds), "utf-8")
    print(f"Written: {file}, and the table and chart beside it\n")


if __name__ == "__main__":
    main()
