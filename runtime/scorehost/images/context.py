"""The folder that is sent to the engine: the app, its models, wheels, and the Dockerfile.

Modes are set rather than copied, so that neither this machine's umask nor an editor that
rewrites files makes a layer anew: whoever runs the container can read everything, and the user
and group 0 can write it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from scorehost.errors import UsageError
from scorehost.images.dockerfile import PLACE

FILE_MODE, PROGRAM_MODE, FOLDER_MODE = 0o664, 0o775, 0o775

OVERLAY = Path(__file__).with_name("overlay.py")
DOCKERFILE = PurePosixPath(PLACE, "Dockerfile")


class Context:
    """A build's folder, being filled.

    Parameters
    ----------
    folder : an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def dockerfile(self) -> Path:
        return self.folder / DOCKERFILE

    def add_files(self, place: str, files: Iterable[tuple[Path, PurePosixPath]]) -> None:
        """Copy files below a folder of ours."""
        for source, target in files:
            copy(source, self.folder / PLACE / place / target)

    def add_packages(self, requirements: Sequence[str], constraints: Sequence[str]) -> None:
        """Write the list of packages, and put the installer beside it."""
        place = self.folder / PLACE / "packages"
        copy(OVERLAY, place / OVERLAY.name)
        write(place / "requirements.txt", "".join(f"{line}\n" for line in requirements))
        write(place / "constraints.txt", "".join(f"{line}\n" for line in constraints))

    def add_wheels(self, folder: Path) -> None:
        """Put the wheels of a folder in."""
        (self.folder / PLACE / "wheels").mkdir(parents=True)
        for wheel in sorted(folder.glob("*.whl")):
            copy(wheel, self.folder / PLACE / "wheels" / wheel.name)

    def add_ca_bundle(self, file: Path) -> None:
        """Put a certificate bundle in."""
        copy(file, self.folder / PLACE / "ca-bundle.pem")

    def add_dockerfile(self, text: str) -> None:
        write(self.dockerfile, text)

    def add_for_steps(self, steps: str, files: Iterable[tuple[Path, PurePosixPath]]) -> None:
        """Put the app where the user's own COPY and ADD look for it, if there are any."""
        if re.search(r"^\s*(COPY|ADD)\s", steps, re.IGNORECASE | re.MULTILINE):
            for source, target in files:
                copy(source, self.folder / target)


def copy(source: Path, target: Path) -> None:
    """Copy a file, with a mode of ours; a hard link would change the mode of the user's own."""
    _make_folder(target.parent)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise UsageError(f"{source} cannot be copied: {error.strerror}.") from error
    program = os.access(source, os.X_OK)
    target.chmod(PROGRAM_MODE if program else FILE_MODE)


def write(target: Path, text: str) -> None:
    """Write a file, with a mode of ours."""
    _make_folder(target.parent)
    target.write_text(text, "utf-8")
    target.chmod(FILE_MODE)


def _make_folder(folder: Path) -> None:
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir()
            each.chmod(FOLDER_MODE)
