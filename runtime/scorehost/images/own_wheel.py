"""scorehost's own wheel, made of the files that are running: what goes into a base image.

So an image has the very server that builds it, whether that was installed from an index, from a
file, or as a checkout that is being worked on. The same files give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import scorehost
from scorehost import __version__
from scorehost.errors import UsageError

ROOT = Path(scorehost.__file__).parents[1]
PACKAGES = (ROOT / "azureml_stand_ins", ROOT / "scorehost")
PTH = "scorehost-stand-ins.pth"
"""The file beside the packages that makes Python find the stand-ins."""

METADATA = ("METADATA", "entry_points.txt", "top_level.txt")
WHEEL = """\
Wheel-Version: 1.0
Generator: scorehost
Root-Is-Purelib: true
Tag: py3-none-any
"""

DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a zip file can hold: a wheel's bytes depend on its files only."""


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel into a folder.

    Raises
    ------
    UsageError
        scorehost runs from files that were never installed.
    """
    wheel = folder / f"scorehost-{__version__}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:

        def write(name: str, content: bytes) -> None:
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(entry, content)

        for name, content in contents():
            write(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            record.append(f"{name},sha256={digest.decode()},{len(content)}\n")
        name = f"{_metadata_folder()}/RECORD"
        write(name, "".join([*record, f"{name},,\n"]).encode())
    return wheel


def contents() -> Iterator[tuple[str, bytes]]:
    """What the wheel has, by name, except for the list of it all."""
    for package in PACKAGES:
        for file in sorted(package.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"{package.name}/{file.relative_to(package)}", file.read_bytes()
    installed = distribution("scorehost")
    pth = Path(str(installed.locate_file(PTH)))
    if not pth.is_file():
        raise UsageError(
            f"{PTH} is missing beside the installed packages, so no image can be made of this "
            "scorehost. Install it again with pip."
        )
    yield PTH, pth.read_bytes()
    for name in METADATA:
        yield f"{_metadata_folder()}/{name}", (installed.read_text(name) or "").encode()
    for listed in installed.files or ():
        if listed.parent.name == "licenses":
            yield f"{_metadata_folder()}/licenses/{listed.name}", listed.read_binary()
    yield f"{_metadata_folder()}/WHEEL", WHEEL.encode()


def _metadata_folder() -> str:
    return f"scorehost-{__version__}.dist-info"
