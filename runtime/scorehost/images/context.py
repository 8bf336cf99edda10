"""The folder that is sent to the engine: the app, its models, wheels, and the Dockerfile.

Modes are set rather than copied, so that neither this machine's umask nor an editor that rewrites
files changes a layer: any user of the container can read everything, and the user and group 0 can
write it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from scorehost.errors import UsageError
from scorehost.images.dockerfile import PLACE
from scorehost.images.wheels import digest_of, name_and_version

FILE_MODE, PROGRAM_MODE, FOLDER_MODE = 0o664, 0o775, 0o775

OVERLAY = Path(__file__).with_name("overlay.py")
DOCKERFILE = PurePosixPath(PLACE, "Dockerfile")


class Context:
    """The context of one build, in a folder that is empty at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dockerfile = folder / DOCKERFILE

    def add_files(self, place: str, files: Iterable[tuple[Path, PurePosixPath]]) -> None:
        """Copy files below a folder of scorehost's."""
        for source, target in files:
            copy(source, self.folder / PLACE / place / target)

    def add_packages(self, wheels: Sequence[Path]) -> None:
        """Copy wheels, of which there may be none, with their list and the installer."""
        place = self.folder / PLACE / "packages"
        copy(OVERLAY, place / OVERLAY.name)
        for wheel in wheels:
            copy(wheel, place / wheel.name)
        listed = sorted((*name_and_version(wheel), digest_of(wheel)) for wheel in wheels)
        lines = [f"{name}=={version} --hash={digest}\n" for name, version, digest in listed]
        write(place / "requirements.lock", "".join(lines))

    def add_dockerfile(self, text: str) -> None:
        write(self.dockerfile, text)

    def add_for_steps(self, steps: str, files: Iterable[tuple[Path, PurePosixPath]]) -> None:
        """Copy the app to where the user's own COPY and ADD look for it, if there are any."""
        if re.search(r"^\s*(COPY|ADD)\s", steps, re.IGNORECASE | re.MULTILINE):
            for source, target in files:
                copy(source, self.folder / target)


def copy(source: Path, target: Path) -> None:
    """Copy a file and set its mode; with a hard link, the user's file would get that mode."""
    _make_folder(target.parent)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise UsageError(f"{source} cannot be copied: {error.strerror}.") from error
    target.chmod(PROGRAM_MODE if os.access(source, os.X_OK) else FILE_MODE)


def write(target: Path, text: str) -> None:
    """Write a file and set its mode."""
    _make_folder(target.parent)
    target.write_text(text, "utf-8")
    target.chmod(FILE_MODE)


def _make_folder(folder: Path) -> None:
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir()
            each.chmod(FOLDER_MODE)
