"""Other ways in: a UNIX socket, TLS, a second port for probes."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest

from support.client import Address
from support.processes import all_processes
from support.server import LiveServer, StartServer, free_port
from support.wait import wait_until

# -- a UNIX socket ------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path that is short enough for a socket's address."""
    return tmp_path_factory.mktemp("s") / "s"


def _on_socket(own_server: StartServer, path: Path) -> LiveServer:
    arguments = ("--host", f"unix:{path}")
    return own_server("raw_text.py", address=Address(path=path), arguments=arguments)


def test_a_unix_socket_serves_like_a_port(own_server: StartServer, path: Path) -> None:
    server = _on_socket(own_server, path)

    assert server.post(body=b"through a file").json() == "through a file"
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert server.ports() == set()


def test_a_unix_socket_is_removed_at_the_end(own_server: StartServer, path: Path) -> None:
    server = _on_socket(own_server, path)

    server.check_stopped()

    assert not path.exists()


def test_a_unix_socket_left_behind_is_no_hindrance(own_server: StartServer, path: Path) -> None:
    """As after a power failure: the file is there and nobody listens."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    assert _on_socket(own_server, path).post(body=b"again").json() == "again"


def test_a_unix_socket_that_is_in_use_is_left_to_its_server(
    own_server: StartServer, path: Path
) -> None:
    first = _on_socket(own_server, path)
    second = own_server("raw_text.py", wait="", arguments=("--host", f"unix:{path}"))

    assert second.wait_exit() == 1
    assert f"The UNIX socket {path} is in use." in second.log
    assert first.post(body=b"still here").json() == "still here"


def test_a_unix_socket_that_somebody_has_removed(own_server: StartServer, path: Path) -> None:
    """Nobody can come any more; the end is as clean as ever."""
    server = _on_socket(own_server, path)
    path.unlink()

    server.check_stopped()


@pytest.mark.parametrize("mask", ["077", "027", "002", "000"])
def test_a_unix_socket_follows_the_umask(own_server: StartServer, path: Path, mask: str) -> None:
    """Of whoever starts the server, for as long as it serves: after a reload, with a new front."""
    port = free_port()
    server = own_server(
        "raw_text.py",
        address=Address(path=path),
        arguments=("--host", f"unix:{path}", "--health-port", str(port)),
        shell=f'umask {mask}; exec "$@"',
    )
    made = path.lstat()
    assert stat.S_IMODE(made.st_mode) == 0o777 & ~int(mask, 8)

    server.send_signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 1 new worker is serving")
    (front,) = [each.pid for each in all_processes() if each.parent == server.pid]
    os.kill(front, signal.SIGKILL)
    wait_until(lambda: len(server.lines("ready to score")) == 2, what="another front")
    server.wait_ready()

    now = path.lstat()
    assert (now.st_mode, now.st_ino) == (made.st_mode, made.st_ino)
    assert server.post(body=b"still").json() == "still"
    assert server.ports() == {port}


def test_the_umask_of_a_script_is_its_own(own_server: StartServer, path: Path) -> None:
    """What the script writes has the modes that the umask of whoever started it gives."""
    source = "from pathlib import Path\n\ndef init():\n    Path('made').touch()\n\n" + (
        "def run(data):\n    return data\n"
    )
    server = own_server(
        files={"main.py": source},
        address=Address(path=path),
        arguments=("--host", f"unix:{path}"),
        shell='umask 027; exec "$@"',
    )

    assert stat.S_IMODE((server.folder / "made").stat().st_mode) == 0o640
    assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_gunicorns_umask_goes_before(own_server: StartServer, path: Path) -> None:
    server = own_server(
        "raw_text.py",
        address=Address(path=path),
        arguments=("--host", f"unix:{path}"),
        settings={"GUNICORN_CMD_ARGS": "--umask 0o117"},
        shell='umask 077; exec "$@"',
    )

    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert server.get("/livez").status == 200


@pytest.mark.parametrize("kind", ["file", "folder", "link", "datagrams"])
def test_what_has_the_name_of_a_unix_socket_is_left_alone(
    own_server: StartServer, path: Path, kind: str
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as used:
        if kind == "file":
            path.write_text("somebody's")
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("somewhere")
        else:
            used.bind(str(path))
        before = path.lstat()
        server = own_server("raw_text.py", wait="", arguments=("--host", f"unix:{path}"))

        assert server.wait_exit() == 1
        (line,) = server.log.splitlines()

    assert f" {path} " in line
    assert "Use" in line or "use another path" in line
    assert (path.lstat().st_ino, path.lstat().st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_a_server_does_not_remove_the_socket_of_its_successor(
    own_server: StartServer, path: Path
) -> None:
    """Somebody moved the first one's away, and started another server in its place."""
    first = _on_socket(own_server, path)
    path.rename(path.with_name("moved"))
    second = _on_socket(own_server, path)

    first.check_stopped()

    assert second.post(body=b"mine").json() == "mine"


# -- TLS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, made for this run."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(files[0]), "-keyout", str(files[1])),
        ],
        check=True,
        capture_output=True,
    )
    return files


@pytest.fixture(scope="module")
def secure(live_server: StartServer, certificate: tuple[Path, Path]) -> LiveServer:
    settings = {
        "SCOREHOST_TLS_CERTIFICATE": str(certificate[0]),
        "SCOREHOST_TLS_KEY": str(certificate[1]),
    }
    context = ssl.create_default_context(cafile=str(certificate[0]))
    address = Address(port=TLS_PORT, tls=context)
    return live_server("raw_text.py", settings=settings, address=address)


TLS_PORT = free_port()


def test_tls_serves_under_its_certificate(secure: LiveServer) -> None:
    assert secure.post(body=b"in secret").json() == "in secret"


def test_tls_keeps_connections_and_takes_large_bodies(secure: LiveServer) -> None:
    body = b"x" * 3_000_000

    with secure.connect() as connection:
        for _ in range(2):
            assert connection.request("POST", "/score", body=body).json() == body.decode()


def test_tls_clients_that_say_no_goodbye_are_not_waited_for(
    own_server: StartServer, certificate: tuple[Path, Path]
) -> None:
    """Clients that pool connections read again with their next request only."""
    arguments = ("--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1]))
    context = ssl.create_default_context(cafile=str(certificate[0]))
    address = Address(port=free_port(), tls=context)
    server = own_server("raw_text.py", arguments=arguments, address=address)
    with server.connect() as pooled:
        assert pooled.request("POST", "/score", body=b"x" * 3_000_000).status == 200
        began = time.monotonic()
        server.check_stopped()

    assert time.monotonic() - began < 10  # the event loops would wait for 30


def test_old_tls_versions_are_refused(secure: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", TLS_PORT), 5) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            context.wrap_socket(plain)


def test_plain_http_on_the_tls_port_is_not_served(secure: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", TLS_PORT), 5) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n")
        answer = plain.recv(1000)

    assert b"200 OK" not in answer
    assert secure.get("/livez").status == 200


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--tls-certificate", "nowhere.pem", "--tls-key", "nowhere.key"), "nowhere"),
        (("--tls-certificate", "only.pem"), "SCOREHOST_TLS_CERTIFICATE is 'only.pem'"),
    ],
)
def test_tls_files_that_cannot_be_used_are_one_clear_message(
    own_server: StartServer, given: tuple[str, ...], said: str
) -> None:
    server = own_server("raw_text.py", wait="", arguments=given)

    assert server.wait_exit() == 2
    assert said in server.err
    assert "Traceback" not in server.log


# -- a port of their own for probes -------------------------------------------------------

HEALTH_PORT = free_port()


@pytest.fixture
def probed(live_server: StartServer) -> LiveServer:
    return live_server("raw_text.py", settings={"HEALTH_PORT": str(HEALTH_PORT)})


@pytest.fixture
def probes(probed: LiveServer) -> LiveServer:
    """The same server, asked through its second port."""
    other = LiveServer.__new__(LiveServer)
    other.__dict__.update(probed.__dict__, address=Address(port=HEALTH_PORT))
    return other


@pytest.mark.parametrize("target", ["/", "/livez", "/readyz", "/startupz", "/metrics"])
def test_the_health_port_answers_probes_and_metrics(
    probes: LiveServer, probed: LiveServer, target: str
) -> None:
    assert probes.get(target).status == 200
    assert probed.get(target).status == 200


@pytest.mark.parametrize("target", ["/score", "/docs", "/swagger.json", "/nowhere"])
def test_the_health_port_answers_nothing_else(probes: LiveServer, target: str) -> None:
    assert probes.get(target).status == 404
    assert probes.post(target, body=b"x").status == 404


def test_the_flag_names_the_health_port_too(own_server: StartServer) -> None:
    port = free_port()
    server = own_server("raw_text.py", arguments=("--health-port", str(port)))

    assert server.ports() == {server.address.port, port}


def test_the_health_port_answers_while_init_runs(own_server: StartServer) -> None:
    port = free_port()
    server = own_server("gated_init.py", wait="listening", settings={"HEALTH_PORT": str(port)})
    server.wait_for_file("init.begun")
    main, server.address = server.address, Address(port=port)

    live, ready = server.get("/livez").status, server.get("/readyz").status
    server.make("init.go")
    wait_until(lambda: server.get("/readyz").status == 200, what="ready on the health port")
    server.address = main

    assert (live, ready) == (200, 503)
    assert server.score() == "scored"
