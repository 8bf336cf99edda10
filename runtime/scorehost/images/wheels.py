"""Wheels for an image, fetched on this machine by its pip.

Only wheels are fetched, because an image has no compiler. pip is told the image's Python and
platform, so this machine may have others. Which versions are needed is known before (see
:mod:`~scorehost.images.resolver`), because pip evaluates markers for its own Python.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scorehost.errors import UsageError
from scorehost.images.engine import run_streaming
from scorehost.images.pip_settings import in_full

OLDEST_GLIBC = 5
"""Minor version of the oldest glibc, 2.5, that wheels were ever built for."""

LEGACY_TAGS = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
"""The old names of some manylinux tags, with the minor version of the glibc they stand for."""

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""The names that wheels have for docker's architectures."""

_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


@dataclass(frozen=True)
class Target:
    """The Python and platform that wheels must fit.

    Parameters
    ----------
    python : major and minor version: "3.11".
    machine : "x86_64", "aarch64".
    glibc : minor version of the C library: 36 for 2.36.
    release : all of Python's version, if it is known: "3.11.2". Some packages ask for a patch
        release.
    """

    python: str
    machine: str
    glibc: int
    release: str = ""

    def platform_tags(self) -> Iterator[str]:
        """The platforms whose wheels fit, best first."""
        for minor in range(self.glibc, OLDEST_GLIBC - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
        for name, minor in LEGACY_TAGS.items():
            if minor <= self.glibc:
                yield f"{name}_{self.machine}"
        yield f"linux_{self.machine}"

    def pip_options(self) -> list[str]:
        options = ["--only-binary=:all:", "--implementation", "cp"]
        options += ["--python-version", self.release or self.python]
        for tag in self.platform_tags():
            options += ["--platform", tag]
        return options

    def needs(self, requirement: Requirement) -> bool:
        """Whether the image needs a requirement, by the requirement's marker if it has one."""
        environment = {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": self.release or f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }
        return requirement.marker is None or requirement.marker.evaluate(environment)


@dataclass(frozen=True)
class Sources:
    """Where wheels come from.

    Parameters
    ----------
    wheelhouse : a folder that has them all; no index is asked then.
    index_url : an index instead of pip's default.
    ca_bundle : a file of certificates to trust.
    """

    wheelhouse: Path | None = None
    index_url: str | None = None
    ca_bundle: Path | None = None

    def pip_options(self) -> list[str]:
        """The options for pip."""
        options = self.uv_options()
        if self.ca_bundle is not None:
            options += ["--cert", str(self.ca_bundle)]
        return options

    def uv_options(self) -> list[str]:
        """The options for uv."""
        options = []
        if self.wheelhouse is not None:
            options += ["--no-index", "--find-links", str(self.wheelhouse)]
        if self.index_url is not None:
            options += ["--index-url", self.index_url]
        return options

    def uv_variables(self) -> dict[str, str]:
        """The environment variables for uv."""
        return {} if self.ca_bundle is None else {"SSL_CERT_FILE": str(self.ca_bundle)}


def machine_of(architecture: str) -> str:
    """The name that wheels have for an architecture, given docker's."""
    return MACHINES.get(architecture, architecture)


def download(
    requirements: Path,
    folder: Path,
    target: Target,
    *,
    options: Sequence[str] = (),
    environ: Mapping[str, str],
    on_line: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Fetch the wheels of a complete list of exact requirements into a folder.

    Returns
    -------
    lines : pip's output when it failed; none when it succeeded.
    """
    command = [sys.executable, "-m", "pip", "download", "--progress-bar", "off", "--no-deps"]
    command += ["--no-input", "--disable-pip-version-check", "--dest", str(folder)]
    command += [*target.pip_options(), *options, "--requirement", str(requirements)]
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        on_line(line)

    status = run_streaming(command, in_full(environ), hear)
    return (said or [f"pip exited with status {status}"]) if status else []


def expanded(options: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """The options of a requirements file, with ``${NAME}`` replaced as pip does: for passwords.

    Raises
    ------
    UsageError
        A variable is not set.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in environ:
            raise UsageError(
                f"The environment file has {found[0]} in an option for pip, and the variable "
                f"{found[1]} is not set."
            )
        return environ[found[1]]

    return [_VARIABLE.sub(value, word) for word in options]


def that_apply(lock: str, target: Target) -> str:
    """The entries of a lock file that an image needs, without their markers.

    An entry is a requirement and the lines that continue it, with its hashes.
    """
    kept = []
    for entry in lock.replace("\\\n", " ").splitlines():
        first, *hashes = f" {entry}".partition(" #")[0].split(" --hash=")
        if not first.strip():
            continue
        requirement = Requirement(first)
        if target.needs(requirement):
            requirement.marker = None
            kept.append(" --hash=".join([str(requirement), *(each.strip() for each in hashes)]))
    return "\n".join(kept) + "\n"


def name_and_version(wheel: Path) -> tuple[str, str]:
    """The package and version that a wheel's file name states; the name as indexes compare it."""
    name, version, *_ = wheel.name.split("-")
    return canonicalize_name(name), version


def digest_of(wheel: Path) -> str:
    """A wheel's SHA-256, as requirements files state it."""
    return f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
