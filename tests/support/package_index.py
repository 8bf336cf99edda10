"""A package index on loopback, with wheels that are made for a test.

It speaks as little of the indexes' protocol as pip and uv need (https://peps.python.org/pep-0503/),
and may ask for a password or have a certificate of its own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scorehost.images.base_facts import BaseFacts

ANY = "py3-none-any"
X86_311 = "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"
X86_38 = "cp38-cp38-manylinux_2_17_x86_64.manylinux2014_x86_64"
FOREIGN = re.compile(r"(PIP|UV)_.*|.*_proxy|SSL_CERT.*|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE", re.I)
"""This machine's own settings, which must not decide what a test finds."""

NEW_GLIBC = "cp311-cp311-manylinux_2_38_x86_64"


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    tag: str = ANY,
    needs: Iterable[str] = (),
    python: str = "",
    files: Iterable[str] = (),
) -> Path:
    """A wheel with one module.

    Parameters
    ----------
    tag : the Pythons and platforms that it says it is for.
    needs : its requirements.
    python : its ``Requires-Python``, "" for none.
    files : empty ones besides.
    """
    module = name.replace("-", "_")
    about = f"{module}-{version}.dist-info"
    head = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    head += [f"Requires-Dist: {need}\n" for need in needs]
    head += [f"Requires-Python: {python}\n"] if python else []
    file = folder / f"{module}-{version}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{module}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{about}/METADATA", "".join(head))
        tags = "".join(f"Tag: {each}\n" for each in tag.split("."))
        wheel.writestr(
            f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: {tag == ANY}\n{tags}"
        )
        for each in files:
            wheel.writestr(each, "")
        own = (f"{module}.py", f"{about}/METADATA", f"{about}/WHEEL", f"{about}/RECORD")
        wheel.writestr(f"{about}/RECORD", "".join(f"{each},,\n" for each in (*own, *files)))
    return file


def fill_index(folder: Path) -> Path:
    """Make the wheels of some packages, and of others the source code alone."""
    for version in ("1.23.2", "1.26.4", "2.0.0"):
        make_wheel(folder, "maths", version, tag=X86_311)
    make_wheel(folder, "maths", "1.18.5", tag=X86_38)
    make_wheel(folder, "maths", "2.1.0", tag=NEW_GLIBC)
    make_wheel(folder, "maths", "3.0.0rc1", tag=X86_311)
    for version in ("1.0", "2.0"):
        make_wheel(folder, "thing", version)
    make_wheel(folder, "patched", "1.0")
    make_wheel(folder, "patched", "2.0", python=">=3.11.1")
    make_wheel(folder, "patched", "3.0", python=">=3.11.9")
    make_wheel(folder, "learn", "1.0", needs=["maths<2", "old-only; python_version < '3.10'"])
    make_wheel(folder, "old-only", "1.0")
    make_wheel(folder, "needs-sources", "1.0", needs=["sources"])
    make_wheel(folder, "needs-thing", "1.0", needs=["thing==1.0"])
    make_wheel(folder, "early", "1.0")
    make_wheel(folder, "early", "2.0b1")
    make_wheel(folder, "debugpy", "1.8.0")
    for name in ("sources-1.0.tar.gz", "maths-1.15.4.tar.gz"):
        (folder / name).touch()
    return folder


def debian_12(python: str = "3.11.2", machine: str = "x86_64", **packages: str) -> BaseFacts:
    """A base image, with its packages besides pip."""
    minor = python.rpartition(".")[0]
    return BaseFacts(
        "sha256:none", True, minor, python, machine, 36, "", {"pip": "26.0", **packages}
    )


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class PackageIndex:
    """Serves the wheels of a folder until it is closed.

    Parameters
    ----------
    folder : may get more wheels at any time.
    password : "user:password" that a request must bring; "" for none.
    certificate : a file with a certificate and its key; then it speaks TLS.
    """

    def __init__(self, folder: Path, *, password: str = "", certificate: Path | None = None):
        self.folder, self.asked = folder, list[str]()
        wanted = f"Basic {base64.b64encode(password.encode()).decode()}" if password else ""
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                if wanted and self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                # A proxy is asked with the whole address.
                parts = self.path.partition("//")[2].partition("/")[2] or self.path
                self._answer(index.page(parts.strip("/").split("/")))

            do_HEAD = do_GET

            def _answer(self, body: bytes | None) -> None:
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Cache-Control", "max-age=0, must-revalidate")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def environ(self, home: Path) -> dict[str, str]:
        """An environment in which pip knows this index, and uv's cache outlives a test."""
        kept = {name: value for name, value in os.environ.items() if not FOREIGN.fullmatch(name)}
        return {
            **kept,
            "HOME": str(home),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.url,
            "PIP_RETRIES": "0",
            "UV_CACHE_DIR": str(self.folder.with_name(f"{self.folder.name}-uv")),
        }

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}/simple"

    def page(self, parts: list[str]) -> bytes | None:
        """The list of a package's wheels, or a wheel."""
        if len(parts) == 2 and parts[0] == "simple":
            module = parts[1].replace("-", "_")
            files = sorted(self.folder.glob(f"{module}-[0-9]*"))
            links = "".join(
                f'<a href="/files/{file.name}#sha256={digest(file)}">{file.name}</a>\n'
                for file in files
            )
            return f"<!DOCTYPE html><html><body>{links}</body></html>".encode() if files else None
        file = self.folder / parts[-1]
        return file.read_bytes() if parts[0] == "files" and file.is_file() else None

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """A company's own authority, as it is to be trusted; and what an index on loopback needs."""
    authority, key, certificate = (folder / f"{name}.pem" for name in ("ca", "key", "certificate"))
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    signs = ["-addext", "keyUsage=critical,keyCertSign", "-subj", "/CN=Company"]
    _run(*request, *signs, "-keyout", str(key), "-out", str(authority))
    by = ["-CA", str(authority), "-CAkey", str(key)]
    names = ["-subj", "/CN=index", "-addext", "subjectAltName=IP:127.0.0.1"]
    names += ["-addext", "basicConstraints=critical,CA:FALSE"]
    own = folder / "own.pem"
    _run(*request, *by, *names, "-keyout", str(own), "-out", str(certificate))
    both = folder / "both.pem"
    both.write_bytes(own.read_bytes() + certificate.read_bytes())
    return authority, both


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
