"""A small channel of conda packages, as a folder: a real Python, pip, and what only conda has."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias
from zipfile import ZipFile

from support.pythons import pythons_here

Content: TypeAlias = "bytes | Path"

LEFT_OUT = {"test", "tests", "idle_test", "idlelib", "turtledemo", "site-packages", "__pycache__"}
"""Folders of an interpreter that scripts do not need."""

GREETING = "hello from conda\n"


def interpreter() -> tuple[str, Path] | None:
    """The version and the folder of a Python that is not the system's; None where there is none."""
    for python in pythons_here().values():
        folder = python.resolve().parents[1]
        if folder != Path("/usr") and folder.name[0].isdigit():  # pyenv names it after the version
            return folder.name, folder
    return None


def make_channel(channel: Path) -> str:
    """Make the channel; return the version of its Python."""
    found = interpreter()
    assert found is not None
    version, folder = found
    minor = version.rpartition(".")[0]
    needs = f"python >={minor},<{minor[:2]}{int(minor[2:]) + 1}.0a0"
    package(channel, "linux-64", "python", version, files_of(folder), placeholder=str(folder))
    pip = max(folder.glob("lib/python*/ensurepip/_bundled/pip-*.whl"))
    with ZipFile(pip) as wheel:
        files = {f"site-packages/{name}": wheel.read(name) for name in wheel.namelist()}
    package(
        channel,
        "noarch",
        "pip",
        pip.name.split("-")[1],
        files,
        depends=["python >=3.8"],
        entry_points={"pip": "pip._internal.cli.main:main"},
    )
    package(channel, "linux-64", "libgreet", "1.2.0", {"share/greet": GREETING.encode()})
    package(channel, "linux-64", "libgreet", "2.0.0", {"share/greet": b"hello from 2\n"})
    package(channel, "linux-64", "ffmpeg", "6.1", {"bin/ffmpeg": b"#!/bin/sh\necho a film\n"})
    for number in ("0.3", "0.4"):
        module = {
            "site-packages/greet/__init__.py": (
                b"import os, sys\n"
                b"def hello(): return open(os.path.join(sys.prefix, 'share/greet')).read()\n"
            ),
            f"site-packages/greet-{number}.dist-info/METADATA": (
                f"Metadata-Version: 2.1\nName: greet\nVersion: {number}\n".encode()
            ),
        }
        package(channel, "noarch", "greet", number, module, depends=[needs, "libgreet <2"])
    index(channel)
    return version


def index(channel: Path) -> None:
    """Write what a channel says of its packages; it is missing, or out of date, before."""
    import rattler

    asyncio.run(rattler.index.index_fs(channel, write_zst=False, write_shards=False))


def files_of(folder: Path) -> dict[str, Content]:
    """An interpreter's files, by their places below its folder."""
    found: dict[str, Content] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in LEFT_OUT and name != "share"]
        for name in names:
            file = Path(place, name)
            inside = file.relative_to(folder)
            if file.suffix != ".a" and not name.startswith("pip"):
                found[str(inside)] = file
    return found


def package(
    channel: Path,
    subdir: str,
    name: str,
    version: str,
    files: Mapping[str, Content],
    *,
    depends: list[str] | None = None,
    placeholder: str = "",
    entry_points: Mapping[str, str] | None = None,
) -> Path:
    """Write one package, in conda's older form.

    Parameters
    ----------
    placeholder : the folder that its files name, and that becomes the environment's.
    entry_points : programs of a package for any Python, each with the function that it calls.
    """
    noarch = subdir == "noarch"
    about = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": depends or [],
        "subdir": subdir,
        "timestamp": 1_600_000_000_000,
        **({"noarch": "python"} if noarch else {"arch": "x86_64", "platform": "linux"}),
    }
    target = channel / subdir / f"{name}-{version}-0.tar.bz2"
    target.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    with tarfile.open(target, "w:bz2", compresslevel=1) as tar:
        for place, content in files.items():
            paths.append(_add(tar, place, content, placeholder))
        _write(tar, "info/index.json", json.dumps(about).encode())
        _write(tar, "info/paths.json", json.dumps({"paths": paths, "paths_version": 1}).encode())
        if noarch:
            programs = [f"{name} = {starts}" for name, starts in (entry_points or {}).items()]
            kind = {"type": "python", "entry_points": programs}
            link = {"noarch": kind, "package_metadata_version": 1}
            _write(tar, "info/link.json", json.dumps(link).encode())
    return target


def _add(tar: tarfile.TarFile, place: str, content: Content, placeholder: str) -> object:
    """Add one file; return what ``paths.json`` says of it."""
    named = {}
    if isinstance(content, Path) and content.is_symlink():
        entry = tarfile.TarInfo(place)
        entry.type, entry.linkname = tarfile.SYMTYPE, str(content.readlink())
        tar.addfile(entry)
        digest, size = hashlib.sha256(b"").hexdigest(), 0
        kind = "softlink"
    else:
        data = content.read_bytes() if isinstance(content, Path) else content
        program = os.access(content, os.X_OK) if isinstance(content, Path) else place[:4] == "bin/"
        _write(tar, place, data, 0o755 if program else 0o644)
        digest, size, kind = hashlib.sha256(data).hexdigest(), len(data), "hardlink"
        if placeholder.encode() in data and ".so" not in place and placeholder:
            # A library finds its files without it; a program names the folder of its libraries.
            mode = "binary" if b"\0" in data else "text"
            named = {"prefix_placeholder": placeholder, "file_mode": mode}
    said = {"_path": place, "path_type": kind, "sha256": digest, "size_in_bytes": size}
    return said | named


def _write(tar: tarfile.TarFile, place: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(place)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
