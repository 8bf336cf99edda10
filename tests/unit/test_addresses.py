"""What keeps a server from an address: told before gunicorn tries."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scorehost.front.http.addresses import addresses, explain, holders, why_not
from scorehost.settings import Settings


def test_a_port_of_ones_own_process() -> None:
    """Whoever listens is named by id and command."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        problem = why_not(Settings(port=port), {})
        found = holders(port)

    assert len(found) == 1
    assert found[0].startswith(f"process {os.getpid()} (")
    assert found[0] in problem
    assert holders(port) == []
    assert why_not(Settings(port=port), {}) == ""


def test_a_shared_port() -> None:
    """Where gunicorn is told to share it, another server on it is no obstacle."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(port=taken.getsockname()[1])

        assert why_not(settings, {}, shares_port=True) == ""
        assert "in use" in why_not(settings, {})


@pytest.mark.parametrize("name", ["LISTEN_FDS", "GUNICORN_FD"])
def test_sockets_that_are_lent(name: str) -> None:
    """systemd, or an arbiter before this one, has opened them: nothing is tried."""
    assert why_not(Settings(host="203.0.113.5"), {name: "1"}) == ""


def test_without_the_right_to_a_low_port() -> None:
    said = explain(OSError(errno.EACCES, "Permission denied"), "0.0.0.0", 80, "--port")

    assert said.startswith("Port 80 requires CAP_NET_BIND_SERVICE")
    assert said.endswith("Use a port from 1024 up: --port 8080")


def test_anything_else_is_told_as_the_system_does() -> None:
    said = explain(OSError(errno.EMFILE, "Too many open files"), "::", 5001, "--port")

    assert said == "Cannot listen on ::, port 5001: Too many open files."


def test_a_socket_that_is_left_is_replaced(tmp_path: Path) -> None:
    """gunicorn does so: a server that was killed leaves it behind."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "x.sock"))

    assert why_not(Settings(host=f"unix:{tmp_path}/x.sock"), {}) == ""


@pytest.mark.parametrize("kind", ["DGRAM", "SEQPACKET", "STREAM"])
@pytest.mark.parametrize("spelling", ["unix:{}", "unix://{}"])
def test_a_socket_that_somebody_uses_is_not_replaced(
    tmp_path: Path, kind: str, spelling: str
) -> None:
    """Whatever it is for: the system's log, for one, has no streams."""
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX, getattr(socket, f"SOCK_{kind}")) as used:
        used.bind(str(path))
        if kind != "DGRAM":
            used.listen(0)

        assert str(path) in why_not(Settings(host=spelling.format(path)), {})
        if kind == "STREAM":  # its backlog is full now, or it has been connected to
            assert "is in use" in why_not(Settings(host=f"unix:{path}"), {})


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which everybody may write, as pytest's are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@pytest.mark.parametrize("listens", [True, False])
def test_a_socket_of_another_user_is_not_replaced(shared: Path, listens: bool) -> None:
    """Who may not connect cannot tell whether it is in use."""
    path = shared / "x.sock"
    with socket.socket(socket.AF_UNIX) as used:
        used.bind(str(path))
        os.chmod(path, 0)
        if listens:
            used.listen()
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            problem = why_not(Settings(host=f"unix:{path}"), {})
        finally:
            if os.getuid() == 0:
                os.seteuid(0)

    assert "it is unclear whether it is in use (Permission denied)" in problem
    assert path.exists()


@pytest.mark.parametrize("to", ["file", "left", "nowhere", "."])
def test_a_link_is_not_replaced(tmp_path: Path, to: str) -> None:
    """gunicorn would remove the link to a socket that was left, and fail at one to nowhere."""
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    (tmp_path / "x.sock").symlink_to(to)

    problem = why_not(Settings(host=f"unix:{tmp_path}/x.sock"), {})

    assert f"x.sock is a link to {to}. Use the path that it leads to" in problem


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, os.mkfifo])
def test_what_is_no_socket_is_not_replaced(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "x.sock")

    problem = why_not(Settings(host=f"unix:{tmp_path}/x.sock"), {})

    assert problem.endswith(
        "x.sock exists and is not a UNIX socket. Remove it, or use another path."
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(port=1), ["127.0.0.1:1"]),
        (Settings(host="::1", port=1, health_port=2), ["[::1]:1", "[::1]:2"]),
        (Settings(host="[::]", port=1), ["[::]:1"]),
        (Settings(host="unix:/x", port=1, health_port=2), ["unix:/x", "127.0.0.1:2"]),
        (Settings(host="unix:///x"), ["unix:/x"]),
        (Settings(host="unix://x"), ["unix:x"]),
    ],
)
def test_addresses(settings: Settings, expected: list[str]) -> None:
    """As gunicorn writes them, the health port last."""
    assert addresses(settings) == expected
