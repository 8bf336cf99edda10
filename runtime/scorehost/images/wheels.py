"""Wheels for an image, fetched on the host by its pip.

Only wheels: there is no compiler in an image. pip is told the image's Python and platform, so
that the host may have others. What it cannot be told is the image's environment for markers
(``; python_version < "3.12"``): it goes by its own. So fetching on the host is right for a list
that is complete (:func:`download` with ``dependencies=False``), or where both have the same
Python; otherwise it is left to the pip inside the build.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OLDEST_GLIBC = 5
"""Wheels were never made for a glibc before 2.5."""

LEGACY_TAGS = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
"""The old names of some manylinux tags, with the minor version of the glibc they stand for."""

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Docker's names of architectures, and wheels'."""


@dataclass(frozen=True)
class Target:
    """What wheels must fit.

    Parameters
    ----------
    python : major and minor version: "3.11".
    machine : "x86_64", "aarch64".
    glibc : minor version of the C library: 36 for 2.36.
    """

    python: str
    machine: str
    glibc: int

    def platform_tags(self) -> Iterator[str]:
        """The platforms whose wheels fit, best first."""
        for minor in range(self.glibc, OLDEST_GLIBC - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
        for name, minor in LEGACY_TAGS.items():
            if minor <= self.glibc:
                yield f"{name}_{self.machine}"
        yield f"linux_{self.machine}"

    def pip_options(self) -> list[str]:
        options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", self.python]
        for tag in self.platform_tags():
            options += ["--platform", tag]
        return options

    def is_like_host(self) -> bool:
        """Whether this very Python evaluates markers as the image's would."""
        return self.python == THIS_PYTHON and self.machine == platform.machine() and _is_linux()

    def marker_environment(self) -> dict[str, str]:
        """What markers see in the image."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


@dataclass(frozen=True)
class Sources:
    """Where wheels come from.

    Parameters
    ----------
    wheelhouse : a folder that has them all; no index is asked then.
    index_url : instead of pip's own.
    ca_bundle : certificates to trust.
    """

    wheelhouse: Path | None = None
    index_url: str | None = None
    ca_bundle: Path | None = None

    def pip_options(self) -> list[str]:
        """What to tell pip on the host."""
        options = []
        if self.wheelhouse is not None:
            options += ["--no-index", "--find-links", str(self.wheelhouse)]
        if self.index_url is not None:
            options += ["--index-url", self.index_url]
        if self.ca_bundle is not None:
            options += ["--cert", str(self.ca_bundle)]
        return options


def _is_linux() -> bool:
    return sys.platform == "linux"


def machine_of(architecture: str) -> str:
    """The wheels' name for an architecture that docker names."""
    return MACHINES.get(architecture, architecture)


def download(
    requirements: Path,
    folder: Path,
    target: Target,
    *,
    options: Sequence[str] = (),
    dependencies: bool = True,
    environ: Mapping[str, str],
    on_line: Callable[[str], None],
) -> list[str]:
    """Fetch the wheels of a list of requirements into a folder.

    Returns
    -------
    lines : what pip said, when it failed; nothing when it did not.
    """
    command = [sys.executable, "-m", "pip", "download", "--progress-bar", "off"]
    command += ["--no-input", "--disable-pip-version-check", "--dest", str(folder)]
    command += [*target.pip_options(), *options, "--requirement", str(requirements)]
    if not dependencies:
        command.append("--no-deps")
    said: list[str] = []
    with subprocess.Popen(
        command,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            said.append(line.rstrip())
            on_line(line.rstrip())
    status = process.returncode
    return (said or [f"pip ended with status {status}"]) if status else []


def that_apply(lock: str, target: Target) -> str:
    """A lock file's entries that an image needs, without their markers.

    An entry is a requirement and the lines that continue it, with its hashes.
    """
    kept = []
    for entry in lock.replace("\\\n", " ").splitlines():
        first, hashes = _split(entry)
        if not first:
            continue
        requirement = Requirement(first)
        marker = requirement.marker
        if marker is None or marker.evaluate(target.marker_environment()):
            requirement.marker = None
            kept.append(" ".join([str(requirement), *hashes]))
    return "\n".join(kept) + "\n"


def _split(entry: str) -> tuple[str, list[str]]:
    words = entry.partition(" #")[0].split()
    hashes = [word for word in words if word.startswith("--hash=")]
    first = " ".join(word for word in words if not word.startswith("--hash="))
    return ("", []) if first.startswith("#") else (first, hashes)


def name_and_version(wheel: Path) -> tuple[str, str]:
    """What a wheel's file name says it is; the name as indexes compare it."""
    name, version, *_ = wheel.name.split("-")
    return canonicalize_name(name), version
