"""Where a server may listen: a port, a UNIX socket, a port with TLS."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from support.client import Address
from support.server import free_port


def tcp(folder: Path) -> tuple[Address, list[str]]:
    """A free port; the address and the arguments that make a server listen there."""
    return Address(port=free_port()), []


def unix(folder: Path) -> tuple[Address, list[str]]:
    """A UNIX socket."""
    path = folder / "s"
    return Address(path=path), ["--host", f"unix:{path}"]


def tls(folder: Path) -> tuple[Address, list[str]]:
    """A free port with a certificate made just for it."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", str(key), "-out"]
    subprocess.run([*command, str(certificate)], check=True, capture_output=True)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.load_verify_locations(certificate)
    options = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    return Address(port=free_port(), tls=trusting), options


LISTENING = {"tcp": tcp, "unix": unix, "tls": tls}
