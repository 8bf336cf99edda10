"""The addresses to listen on, and what keeps a server from having one of them.

gunicorn opens the sockets. It would try five times and say no more than the system does, so the
reason is found before that, together with the process that has the address already.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from scorehost.settings import Settings

_LENT: Final = ("LISTEN_FDS", "GUNICORN_FD")
"""Variables that name sockets which are open already: sd_listen_fds(3), and gunicorn's own."""
_LISTENING: Final = "0A"
"""State of a listening socket in /proc/net/tcp (Linux' TCP_LISTEN)."""
_LONGEST_PATH: Final = 107
"""Bytes of a UNIX socket's path (unix(7))."""
_COMMAND: Final = 80
"""Characters of a command line that are shown."""
_HOSTS: Final = (
    "Use --host 127.0.0.1 to listen on this machine only, or 0.0.0.0 to listen on all its networks."
)


def addresses(settings: Settings) -> list[str]:
    """Return what to listen on, as gunicorn writes it; the health port comes last."""
    if settings.host.startswith("unix:"):
        bind, host = [f"unix:{_socket_file(settings.host)}"], "127.0.0.1"
    else:
        host = settings.host.strip("[]")
        host = f"[{host}]" if ":" in host else host
        bind = [f"{host}:{settings.port}"]
    if settings.health_port is not None:
        bind.append(f"{host}:{settings.health_port}")
    return bind


def why_not(settings: Settings, environ: Mapping[str, str], *, shares_port: bool = False) -> str:
    """Say why the server cannot listen where it was told to, and what to do; "" when it can.

    Parameters
    ----------
    settings : the addresses.
    environ : its variables tell whether the sockets are open already.
    shares_port : whether several servers may listen on one port (gunicorn's ``reuse_port``).
    """
    if any(environ.get(name) for name in _LENT):
        return ""
    host = settings.host
    if host.startswith("unix:"):
        problem = _why_no_file(_socket_file(host))
        host, ports = "127.0.0.1", [("HEALTH_PORT", settings.health_port)]
    else:
        problem = ""
        ports = [("--port", settings.port), ("--health-port", settings.health_port)]
    for flag, port in ports:
        problem = problem or _why_no_port(host.strip("[]"), port, flag, shares_port)
    return problem


def _socket_file(host: str) -> Path:
    """Return the file of a UNIX socket; gunicorn takes unix://PATH for unix:PATH."""
    return Path(host.removeprefix("unix:").removeprefix("//"))


def _why_no_port(host: str, port: int | None, flag: str, shares_port: bool) -> str:
    if not port:  # no port at all, or any free one
        return ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shares_port:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            trial.bind((host, port))
    except socket.gaierror as error:
        return f"The host {host!r} is not an address of this machine ({error.strerror}). {_HOSTS}"
    except OSError as error:
        return explain(error, host, port, flag)
    return ""


def explain(error: OSError, host: str, port: int, flag: str) -> str:
    """Say what an error of bind(2) means, and what to do."""
    if error.errno == errno.EADDRINUSE:
        by = " and ".join(holders(port)) or "another process (run 'ss -ltnp' as root to see which)"
        return f"Port {port} is in use by {by}. Stop it, or use another port: {flag} {port + 1}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"The host {host!r} is not an address of this machine. {_HOSTS}"
    if error.errno == errno.EACCES:
        return (
            f"Port {port} requires CAP_NET_BIND_SERVICE, which this process does not have "
            f"({error.strerror}). Use a port from 1024 up: {flag} 8080"
        )
    return f"Cannot listen on {host}, port {port}: {error.strerror}."


def _why_no_file(path: Path) -> str:
    """Say why there can be no UNIX socket here; one that nobody listens on is replaced."""
    if path == Path():
        return "unix: needs the path of a socket, as in --host unix:/run/scorehost.sock."
    if len(os.fsencode(path)) > _LONGEST_PATH:
        return f"{path} is too long for a UNIX socket: at most {_LONGEST_PATH} bytes (unix(7))."
    if not path.parent.is_dir():
        return f"{path.parent}, the folder of the UNIX socket, does not exist. Create it first."
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"The UNIX socket {path} cannot be created: this user may not write to its folder."
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(mode):  # gunicorn would remove the link, not what it leads to
        return f"{path} is a link to {path.readlink()}. Use the path that it leads to, or another."
    if not stat.S_ISSOCK(mode):
        return f"{path} exists and is not a UNIX socket. Remove it, or use another path."
    return _why_not_replaced(path)


def _why_not_replaced(path: Path) -> str:
    """Say why a UNIX socket that is there may not be replaced; "" when nobody listens on it."""
    with socket.socket(socket.AF_UNIX) as trial:
        trial.setblocking(False)
        try:
            trial.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):  # left by a server that was killed
            return ""
        except BlockingIOError:  # its backlog is full
            pass
        except OSError as error:  # of another user, or of another kind: somebody may listen on it
            return (
                f"The UNIX socket {path} exists, and it is unclear whether it is in use "
                f"({error.strerror}). Remove it if it is not in use, or use another path."
            )
    return (
        f"The UNIX socket {path} is in use. Stop the process that listens on it, or use another "
        "path."
    )


# -- who has a port -------------------------------------------------------------------------


def holders(port: int) -> list[str]:
    """List the processes that listen on a port; those of other users cannot be seen.

    Of a process and the children that inherited its socket, only the parent is named.
    """
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    found = dict(_with_sockets(wanted)) if wanted else {}
    return [
        f"process {process} ({_command(process)})"
        for process, parent in sorted(found.items())
        if parent not in found
    ]


def _inodes(port: int) -> Iterator[str]:
    """Yield the inodes of sockets that listen on a port (proc(5), /proc/net/tcp)."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text("ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _with_sockets(wanted: set[str]) -> Iterator[tuple[int, int]]:
    """Yield the processes that have one of these sockets, each with its parent."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or it has just ended
            if any(str(link.readlink()) in wanted for link in (process / "fd").iterdir()):
                after_name = (process / "stat").read_text("utf-8", "replace").rpartition(")")[2]
                yield int(process.name), int(after_name.split()[1])


def _command(process: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        command = b" ".join(words).decode("utf-8", "replace").strip()
        return command if len(command) <= _COMMAND else f"{command[:_COMMAND]}…"
    return "just ended"
