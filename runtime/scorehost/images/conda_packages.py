"""conda's packages for an image, chosen and installed on this machine by rattler.

They are installed into a folder here, with the paths that they have in the image, and the image
gets the folder as an archive. So neither conda nor a network is needed in the build.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap

from scorehost.errors import MissingExtra, UsageError
from scorehost.images.wheels import Target

PREFIX = "/opt/env"
"""Where the environment is in an image."""

ALIAS = "https://conda.anaconda.org/"
"""Where channels are that have only a name, as conda has it by default."""

DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
"""What conda takes for the channel ``defaults``."""

SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}
"""The names that conda has for machines."""

WIDTH = 96
DATE = 315532800  # 1980-01-01, so that the same packages are the same archive


@dataclass(frozen=True)
class CondaPackage:
    """A package that was chosen.

    Parameters
    ----------
    name, version, build : the three that tell it apart within a channel.
    url, sha256 : where it is, and its hash; "" if the channel has none.
    """

    name: str
    version: str
    build: str
    url: str
    sha256: str

    @property
    def line(self) -> str:
        """All of it, as lock files have it."""
        return f"{self.name} {self.version} {self.build} {self.url} sha256:{self.sha256}"

    @classmethod
    def of(cls, line: str) -> CondaPackage:
        """The package of such a line."""
        name, version, build, url, digest = line.split(" ")
        return cls(name, version, build, url, digest.removeprefix("sha256:"))

    @property
    def spec(self) -> str:
        """The specification that only this package meets."""
        return f"{self.name} =={self.version} {self.build}"


class CondaPackages:
    """Chooses and installs conda's packages for an image.

    Parameters
    ----------
    channels : as an environment file lists them, the most important first.
    mirrors : addresses to use instead of channels, by the channels' names.
    target : the platform of the image. Its Python is not looked at.
    cuda : the version of CUDA that the image has; "" for none.
    cache : the folder for packages and what channels said.
    """

    def __init__(
        self,
        channels: Sequence[str],
        mirrors: Mapping[str, str],
        target: Target,
        cuda: str,
        cache: Path,
        environ: Mapping[str, str],
    ) -> None:
        self.channels = addresses(channels or ("defaults",), mirrors)
        self.mirrors = mirrors
        self.target, self.cuda, self.cache, self.environ = target, cuda, cache, environ

    def choose(
        self,
        specs: Sequence[str],
        *,
        preferred: Sequence[CondaPackage] = (),
        anew: bool = False,
    ) -> list[CondaPackage]:
        """Choose packages; the same specifications get the same ones again.

        Parameters
        ----------
        specs : as an environment file lists them.
        preferred : those of an older lock file, which are kept where they still fit.
        anew : whether to choose again what was chosen before.

        Raises
        ------
        UsageError
            There is no set of packages that meets them, or a channel cannot be read.
        """
        question = json.dumps([self.channels, sorted(specs), self._virtual(), self._subdir()])
        name = hashlib.sha256(question.encode()).hexdigest()[:24]
        kept = self.cache / "chosen" / f"{name}.json"
        if kept.is_file() and not anew:
            return [CondaPackage(**each) for each in json.loads(kept.read_text("utf-8"))]
        packages = self._ask(specs, preferred=[package.spec for package in preferred])
        kept.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([asdict(package) for package in packages])
        with TemporaryDirectory(dir=kept.parent) as place:  # replaced in one step
            Path(place, kept.name).write_text(text, "utf-8")
            Path(place, kept.name).replace(kept)
        return packages

    def install(self, packages: Sequence[CondaPackage], archive: Path) -> None:
        """Write an archive of the environment that has exactly these packages.

        Raises
        ------
        UsageError
            A channel no longer has them, or has others of the same name now.
        """
        with TemporaryDirectory(prefix="scorehost-conda-") as folder:
            there = self._ask([package.spec for package in packages], folder)
            was = {package.name: package.sha256 for package in packages}
            changed = [package.name for package in there if was[package.name] != package.sha256]
            if changed:
                raise UsageError(
                    f"The channel has another file now for {', '.join(changed)}. Choose the "
                    "packages again: --upgrade."
                )
            pack(Path(folder), archive)

    def _ask(
        self, specs: Sequence[str], folder: str = "", preferred: Sequence[str] = ()
    ) -> list[CondaPackage]:
        named = addresses(
            [channel for spec in specs if (channel := channel_of(spec))], self.mirrors
        )
        question = {
            "channels": list(dict.fromkeys([*self.channels, *named])),
            "specs": [self._mirrored(spec) for spec in specs],
            "preferred": list(preferred),
            "virtual": self._virtual(),
            "subdir": self._subdir(),
            "cache": str(self.cache),
            "folder": folder,
            "prefix": PREFIX,
        }
        done = subprocess.run(
            [sys.executable, "-m", "scorehost.images.rattler_tool"],
            env=dict(self.environ),
            input=json.dumps(question),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            if "No module named 'rattler'" in done.stderr:
                raise MissingExtra("An environment of conda's packages", "py-rattler", "conda")
            raise UsageError(f"rattler ended with status {done.returncode}: {done.stderr[-2000:]}")
        answer = json.loads(done.stdout)
        if "none_fits" in answer:
            raise UsageError(
                "No set of conda's packages meets the environment file.\n"
                f"{shown(answer['none_fits'])}\n  The channels are: {', '.join(self.channels)}"
            )
        if "failed" in answer:
            raise UsageError(
                f"conda's packages cannot be fetched.\n{shown(answer['failed'])}\n  Check the "
                "network and the names of the channels; --channel NAME=URL names a mirror of one."
            )
        return [CondaPackage(**each) for each in answer["packages"]]

    def _mirrored(self, spec: str) -> str:
        """A specification that names the mirror of its channel, if it names one that has any."""
        mirror = self.mirrors.get(channel_of(spec))
        return f"{mirror}::{spec.partition('::')[2]}" if mirror else spec

    def _subdir(self) -> str:
        return SUBDIRS.get(self.target.machine, f"linux-{self.target.machine}")

    def _virtual(self) -> dict[str, str]:
        """What the image has that packages may ask for."""
        has = {"__glibc": f"2.{self.target.glibc}"}
        return has | ({"__cuda": self.cuda} if self.cuda else {})


def addresses(channels: Sequence[str], mirrors: Mapping[str, str]) -> list[str]:
    """The addresses of channels, by conda's rules, or those of their mirrors."""
    found = []
    for channel in channels:
        if channel in mirrors:
            found.append(mirrors[channel])
        elif channel == "defaults":
            found += DEFAULTS
        elif channel != "nodefaults":
            found.append(channel if "://" in channel else f"{ALIAS}{channel}")
    return list(dict.fromkeys(found))


def channel_of(spec: str) -> str:
    """The channel that a specification names: "conda-forge" of ``conda-forge/noarch::numpy``."""
    channel, found, _ = spec.partition("::")
    return re.sub(r"/(linux-[a-z0-9]+|noarch)$", "", channel) if found else ""


def digest_of(packages: Sequence[CondaPackage]) -> str:
    """A name for a set of packages, which does not depend on the mirrors that have them."""
    listed = sorted(package.sha256 or package.url for package in packages)
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def pack(folder: Path, archive: Path) -> None:
    """Write a folder into an archive whose bytes depend on its content alone."""

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = DATE
        entry.mode |= 0o555 if entry.mode & 0o100 else 0o444  # for any user, whatever our umask
        return entry

    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.rglob("*")):
            name = os.fspath(path.relative_to(folder))
            tar.add(path, name, recursive=False, filter=owned)


def shown(text: str) -> str:
    """What rattler says, indented and within a line's width."""
    lines = (
        part
        for line in text.splitlines()
        for part in wrap(line, WIDTH, break_on_hyphens=False) or [""]
    )
    return "\n".join(f"  {line}" for line in lines)
