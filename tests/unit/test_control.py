"""Who is believed on the socket of ``scorehost debug``, and how long and how much is read there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from scorehost.dev import control
from scorehost.dev.control import Answer, Control, address, ask
from scorehost.errors import UsageError
from support.server import free_port
from support.wait import wait_until

T = TypeVar("T")
ME = os.getuid()
ANSWER: Answer = {
    "host": "127.0.0.1", "port": 5678, "listening": True, "attached": False, "paused": False,
}  # fmt: skip


def with_control(test: Callable[[int], T]) -> T:
    """Open a server's end, and run what blocks beside it."""

    async def tell() -> Answer:
        return ANSWER

    async def run() -> T:
        port = free_port()
        opened = Control(port, {"status": tell})
        await opened.open()
        try:
            return await asyncio.to_thread(test, port)
        finally:
            opened.close()

    return asyncio.run(run())


def connect(port: int, user: int = ME) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(address(port, user))
    return sock


@contextlib.contextmanager
def acting_as(user: int) -> Iterator[None]:
    """What is done here, this user does."""
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(ME)


@contextlib.contextmanager
def holding(
    port: int, user: int, answer: Callable[[socket.socket], object], *, by: int = ME
) -> Iterator[None]:
    """Hold the name of a user's server, and treat who connects as this does."""
    with socket.socket(socket.AF_UNIX) as listener:
        with acting_as(by):
            listener.bind(address(port, user))
            listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    answer(client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


# -- the command ----------------------------------------------------------------------------


def test_a_server_of_ones_own_answers():
    assert with_control(lambda port: ask(port, "status", ME)) == ANSWER


def test_whoever_took_the_name_first_is_not_believed():
    """A user has the name of another one's server: nothing is sent, and nothing is read."""
    port, received = free_port(), []
    # root is believed by everybody, so it has to become somebody else for this.
    server, holder = (ME, 65534) if ME == 0 else (ME + 1, ME)
    with (
        holding(port, server, lambda client: received.append(client.recv(100)), by=holder),
        pytest.raises(UsageError) as refused,
    ):
        ask(port, "open", server)

    assert str(refused.value).startswith(f"process {os.getpid()} of user {holder} uses the socket")
    assert f"a server of user {server} on port {port}" in str(refused.value)
    assert received == [b""]


def test_a_name_that_is_held_and_not_listened_on():
    port = free_port()
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(address(port, ME))
        with pytest.raises(UsageError, match="No server of yours on port"):
            ask(port, "status", ME)


def without_an_end(client: socket.socket) -> None:
    client.recv(100)
    while True:
        client.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (without_an_end, "version of scorehost does not understand the answer of the server"),
        (lambda client: client.sendall(b"hello\n"), "does not understand the answer"),
        (lambda client: client.sendall(b"[]\n"), "does not understand the answer"),
        (lambda client: client.sendall(b"[" * 60_000 + b"\n"), "does not understand the answer"),
        (lambda client: client.sendall(b'{"listening": true}\n'), "does not understand the answer"),
        (lambda client: client.sendall(b"\xff\n"), "does not understand the answer"),
        (lambda client: client.recv(100), "ended the connection without an answer"),
        (socket.socket.close, "ended the connection without an answer"),
        (lambda client: client.sendall(b'{"host": '), "does not understand the answer"),
    ],
)
def test_what_a_server_may_answer(answer: Callable[[socket.socket], object], said: str):
    port = free_port()
    with holding(port, ME, answer), pytest.raises(UsageError, match=said):
        ask(port, "status", ME)


def drip(client: socket.socket) -> None:
    """Send a byte now and then, until the other end has left."""
    client.recv(100)
    client.settimeout(0.05)
    with contextlib.suppress(ConnectionError):
        while client.send(b"x"):
            with contextlib.suppress(TimeoutError):
                client.recv(1)


@pytest.mark.parametrize("answer", [lambda client: client.recv(100) and client.recv(1), drip])
def test_an_answer_has_a_time_in_all(
    answer: Callable[[socket.socket], object], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(control, "_ANSWER_WITHIN", 0.3)
    port = free_port()
    with holding(port, ME, answer), pytest.raises(UsageError, match="did not answer in time"):
        ask(port, "status", ME)


def test_a_server_that_too_many_wait_for():
    port = free_port()
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as waiting:
        busy.bind(address(port, ME))
        busy.listen(0)
        waiting.enter_context(connect(port))
        with pytest.raises(UsageError, match=f"port {port} cannot be reached: .+ Try again"):
            ask(port, "status", ME)


# -- the server -----------------------------------------------------------------------------


def answer_to(sock: socket.socket, sent: bytes = b"status\n") -> bytes:
    with sock, sock.makefile("rb") as answers:
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            return answers.readline()
        return b""


ANOTHER: list[str] = ["told", *(["real"] if ME == 0 else [])]
"""Only root can be another user; for the others the server is told that it is one."""


@pytest.mark.parametrize("how", ANOTHER)
def test_another_user_is_refused_with_what_was_found(how: str, monkeypatch: pytest.MonkeyPatch):
    if how == "told":
        monkeypatch.setattr(control, "_ROOT", -1)
        monkeypatch.setattr(os, "getuid", lambda: ME + 1)

    def asked(port: int) -> bytes:
        if how == "told":
            return answer_to(connect(port, ME + 1))
        with acting_as(65534):
            sock = connect(port)
        return answer_to(sock)

    server, caller = (ME + 1, ME) if how == "told" else (ME, 65534)
    assert json.loads(with_control(asked)) == {
        "error": f"This server answers only user {server} and root, "
        f"not process {os.getpid()} of user {caller}."
    }


def test_root_is_answered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "_ROOT", ME)
    monkeypatch.setattr(os, "getuid", lambda: ME + 1)

    assert json.loads(with_control(lambda port: answer_to(connect(port, ME + 1)))) == ANSWER


@pytest.mark.parametrize("sent", [b"x" * 1_000_000, b"status" * 100 + b"\n", b"s" * 101])
def test_a_client_that_sends_too_much_is_left(sent: bytes):
    assert with_control(lambda port: (answer_to(connect(port), sent), ask(port, "status", ME))) == (
        b"", ANSWER,
    )  # fmt: skip


@pytest.mark.parametrize("sent", [b"", b"stat"])
def test_a_client_that_says_nothing_is_left(sent: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(control, "_ASKS_WITHIN", 0.1)

    assert with_control(lambda port: answer_to(connect(port), sent)) == b""


@pytest.mark.parametrize("sent", [b"\n", b"restart\n", b"\xff\n", b"open; rm\n"])
def test_a_command_that_there_is_not(sent: bytes):
    answer = json.loads(with_control(lambda port: answer_to(connect(port), sent)))

    assert answer["error"].startswith("Unknown command: ")


def test_a_thousand_clients_at_once(monkeypatch: pytest.MonkeyPatch):
    """A few are waited for; the others are told at once, and none costs a descriptor for long."""
    monkeypatch.setattr(control, "_ASKS_WITHIN", 300.0)

    def crowd(port: int) -> tuple[int, Answer]:
        refused = 0
        with contextlib.ExitStack() as stack:
            before = len(os.listdir("/proc/self/fd"))
            waiting = [stack.enter_context(connect(port)) for _ in range(control._AT_ONCE)]
            for _ in range(1000):
                refused += b"other commands are waiting for this server" in answer_to(
                    connect(port), b""
                )
            assert len(os.listdir("/proc/self/fd")) <= before + 2 * len(waiting) + 2
        return refused, wait_until(lambda: _answered(port), what="an answer again")

    refused, answer = with_control(crowd)

    assert refused == 1000
    assert answer == ANSWER


def _answered(port: int) -> Answer | None:
    with contextlib.suppress(UsageError):
        answer = ask(port, "status", ME)
        return None if "error" in answer else answer
    return None


# -- names ----------------------------------------------------------------------------------


def open_and_close(port: int) -> None:
    async def run() -> None:
        opened = Control(port, {})
        await opened.open()
        opened.close()

    asyncio.run(run())


def test_a_name_that_is_taken_is_told_with_its_holder():
    port = free_port()
    with (
        holding(port, ME, lambda client: client.recv(1)),
        pytest.raises(OSError, match=f"^process {os.getpid()} of user {ME} uses the socket @score"),
    ):
        open_and_close(port)


def test_a_name_whose_holder_does_not_listen():
    port = free_port()
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(address(port, ME))
        with pytest.raises(
            OSError, match=f"another process uses the socket @scorehost-{ME}-{port}"
        ):
            open_and_close(port)


def test_a_name_leaves_with_its_holder():
    """However it ends: the kernel lets go of the name, and the next server has it."""
    port = free_port()
    program = (
        "import socket, time\nsock = socket.socket(socket.AF_UNIX)\n"
        f"sock.bind({address(port, ME)!r})\nsock.listen()\nprint(flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(OSError, match=f"^process {holder.pid} of user {ME}"):
            open_and_close(port)
        holder.kill()
    open_and_close(port)
