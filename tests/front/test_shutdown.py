"""The end of a server: readiness fails first, what was accepted is answered, time is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scorehost.front.phase import DRAINING, LEAVING, SERVING, STOPPED
from scorehost.front.shutdown import Shutdown
from support.loop_front import LoopFront, exchange, loop_front


def shutdown_of(served: LoopFront) -> Shutdown:
    return Shutdown(
        served.front, served.listening, served.front.connections, served.settings, served.log,
        served.loop, served.stopped.append,
    )  # fmt: skip


async def until_stopped(served: LoopFront) -> float:
    """Seconds until the server asks to be stopped."""
    began = served.loop.time()
    while not served.stopped:
        assert served.loop.time() < began + 20, "it goes on"
        await asyncio.sleep(0.01)
    return served.loop.time() - began


def test_an_idle_server_drains_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        with loop_front(tmp_path) as served:
            served.listening.start()
            shutdown = shutdown_of(served)
            shutdown.drain()
            shutdown.drain()  # a second SIGTERM changes nothing

            await until_stopped(served)

            assert served.stopped == [0]
            assert served.front.context.phase.now == DRAINING
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", served.ports[0])
            assert (
                served.read_log().count("server stopping: finishing accepted requests first") == 1
            )

    asyncio.run(scene())


def test_readiness_fails_for_the_delay_while_connections_are_accepted(tmp_path: Path) -> None:
    async def scene() -> None:
        with loop_front(tmp_path, {"SCOREHOST_SHUTDOWN_DELAY": "1"}) as served:
            served.listening.start()
            shutdown_of(served).drain()
            await asyncio.sleep(0)

            status, body = await served.get("/readyz")

            assert status == 503
            assert b'"draining"' in body
            assert served.front.context.phase.now == LEAVING
            assert await until_stopped(served) > 0.5

    asyncio.run(scene())


def test_a_silent_connection_may_send_one_more_request(tmp_path: Path) -> None:
    """One that is on its way finds somebody, and the answer says that it is the last."""

    async def scene() -> None:
        with loop_front(tmp_path) as served:
            served.listening.start()
            client = await asyncio.open_connection("127.0.0.1", served.ports[0])
            shutdown_of(served).drain()
            await asyncio.sleep(0.05)

            status, _ = await exchange(*client, "/livez")  # reads until the connection ends

            assert status == 200
            await until_stopped(served)

    asyncio.run(scene())


def test_the_grace_time_bounds_the_drain(tmp_path: Path) -> None:
    """Who is not answered by then is counted in the log."""

    async def scene() -> None:
        with loop_front(tmp_path, {"SCOREHOST_SHUTDOWN_GRACE": "1"}) as served:
            served.listening.start()
            reader, writer = await asyncio.open_connection("127.0.0.1", served.ports[0])
            writer.write(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1")
            await asyncio.sleep(0.05)
            shutdown_of(served).drain()

            assert await until_stopped(served) < 5
            assert "1 request was not answered within 1 s (SCOREHOST_SHUTDOWN_GRACE)" in (
                served.read_log()
            )
            writer.close()
            del reader

    asyncio.run(scene())


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    async def scene() -> None:
        with loop_front(tmp_path) as served:
            shutdown = shutdown_of(served)
            shutdown.interrupt()
            assert served.stopped == []
            shutdown.interrupt()
            assert served.stopped == [0]

    asyncio.run(scene())


@pytest.mark.parametrize("status", [0, 3])
def test_closing_ends_every_connection(tmp_path: Path, status: int) -> None:
    async def scene() -> None:
        with loop_front(tmp_path) as served:
            served.listening.start()
            served.front.context.phase.enter(SERVING)
            reader, writer = await asyncio.open_connection("127.0.0.1", served.ports[0])
            await asyncio.sleep(0.05)

            await shutdown_of(served).close(status)

            assert served.front.context.phase.now == STOPPED
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(scene())
