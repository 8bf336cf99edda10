"""Checks whether a worker can score, by asking this container's server for /readyz.

Docker runs it every few seconds, so it imports little. It reads the settings from the environment
and the config file; a port that is set on the command line must be repeated as SERVER_PORT.
"""

import os
import socket
import ssl
import sys

from scorehost.settings import Settings
from scorehost.sources import resolve

REQUEST = b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n"
SECONDS = 2.0


def main() -> int:
    """Print the answer, for `docker inspect`; return 0 if its status is 200, otherwise 1."""
    settings = resolve({}, os.environ).settings
    try:
        answer = ask(settings)
    except OSError as error:
        print(f"The server does not answer: {error}")
        return 1
    print(answer)
    return 0 if answer.partition(" ")[2].startswith("200") else 1


def ask(settings: Settings) -> str:
    """The server's answer, as text."""
    with connected(settings) as connection:
        connection.sendall(REQUEST)
        parts = iter(lambda: connection.recv(65536), b"")
        return b"".join(parts).decode("utf-8", "replace").strip()


def connected(settings: Settings) -> socket.socket:
    """A connection to the health port if there is one, else to the scoring port."""
    if settings.health_port is not None:
        return socket.create_connection(("127.0.0.1", settings.health_port), SECONDS)
    if settings.host.startswith("unix:"):
        unix = socket.socket(socket.AF_UNIX)
        unix.settimeout(SECONDS)
        unix.connect(settings.host.removeprefix("unix:"))
        return unix
    plain = socket.create_connection((reachable(settings.host), settings.port), SECONDS)
    if settings.tls_certificate is None:
        return plain
    context = ssl.create_default_context()
    context.check_hostname = False  # the server is in this very container
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def reachable(host: str) -> str:
    """The address at which a server that listens on a host can be reached."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


if __name__ == "__main__":
    sys.exit(main())
