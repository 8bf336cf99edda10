"""The container engine, through its command: ``docker``, or one that takes the same words.

What the engine refuses becomes an :class:`~scorehost.errors.EngineError` that says what to do.
The command finds its engine by itself, with the environment that is handed on: ``DOCKER_HOST``,
contexts and credentials work as they do when it is typed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scorehost.errors import EngineError
from scorehost.images.engine_problems import explain

COMMANDS = ("docker", "podman")
"""Looked for in this order when none is named."""

PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")
"""Builds may have these without declaring them, and leave no trace of them in the image."""


@dataclass(frozen=True)
class Image:
    """An image that is here.

    Parameters
    ----------
    id : its digest.
    user : whom its containers run as.
    layers : digests of its file system's layers.
    """

    id: str
    user: str
    layers: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    architecture: str = ""
    size: int = 0
    digests: tuple[str, ...] = ()


class Engine:
    """One engine.

    Parameters
    ----------
    command : what is typed for it, with options if need be: ``docker --context far``.
    environ : the environment its command gets.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.command = tuple(command)
        # BuildKit's display redraws itself unless told not to; we read it line by line.
        self.environ = {**environ, "BUILDKIT_PROGRESS": "plain"}

    @property
    def name(self) -> str:
        return Path(self.command[0]).name

    @property
    def is_podman(self) -> bool:
        """Whether it is podman, which differs in a few words."""
        return self.name.startswith("podman")

    def check(self) -> str:
        """The engine's version, once it has answered."""
        wanted = "{{.Client.Version}}" if self.is_podman else "{{.Server.Version}}"
        return self.ask("version", "--format", wanted)

    def ask(self, *arguments: str) -> str:
        """Run a command; its standard output, stripped."""
        done = self._run(arguments)
        if done.returncode:
            raise EngineError(explain(done.stderr, self.name), done.stderr)
        return done.stdout.strip()

    def image(self, reference: str) -> Image | None:
        """Look at an image; None when it is not here."""
        done = self._run(("image", "inspect", reference))
        if done.returncode:
            if re.search(r"no such image|not known|not found", done.stderr, re.IGNORECASE):
                return None
            raise EngineError(explain(done.stderr, self.name), done.stderr)
        return _as_image(json.loads(done.stdout)[0])

    def pull(self, reference: str) -> Image:
        """Fetch an image from its registry."""
        self.ask("pull", "--quiet", reference)
        found = self.image(reference)
        if found is None:
            raise EngineError(f"{reference} was pulled, and is not here.")
        return found

    def build(
        self,
        context: Path,
        *,
        dockerfile: Path,
        tag: str,
        options: Sequence[str] = (),
        on_line: Callable[[str], None],
    ) -> int:
        """Build an image, handing on each line that is printed; the exit status."""
        arguments = ["build", "--tag", tag, "--file", str(dockerfile), *options]
        arguments += self._proxies()
        if self.is_podman:  # its own format has no place for a health check
            arguments += ["--format", "docker"]
        with subprocess.Popen(
            [*self.command, *arguments, str(context)],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            for line in lines_of(process.stdout or ()):
                on_line(line)
            return process.wait()

    def _proxies(self) -> Iterator[str]:
        for name in PROXY_VARIABLES:
            for variable in (name, name.upper()):
                if variable in self.environ:
                    yield from ("--build-arg", variable)

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


def find_engine(wanted: str | None, environ: Mapping[str, str]) -> Engine:
    """The engine that was named, or the first of those we know that is installed.

    Raises
    ------
    EngineError
        There is no such command.
    """
    search = environ.get("PATH")
    for words in [wanted.split()] if wanted else [[name] for name in COMMANDS]:
        found = shutil.which(words[0], path=search)
        if found:
            return Engine([found, *words[1:]], environ)
    name = f"The command {wanted.split()[0]}" if wanted else "Neither docker nor podman"
    raise EngineError(
        f"{name} is {'not' if wanted else ''} installed here. ".replace("  ", " ")
        + "Images need a container engine: on Debian and Ubuntu 'apt-get install docker.io', "
        "elsewhere Docker Desktop or podman; '--engine COMMAND' names another."
    )


def lines_of(stream: Any) -> Iterator[str]:
    """Lines as they come; a carriage return ends one too, as progress bars have it."""
    for raw in stream:
        for line in raw.decode("utf-8", "replace").rstrip("\r\n").split("\r"):
            yield line.rstrip()


def _as_image(facts: Mapping[str, Any]) -> Image:
    config = facts.get("Config") or {}
    return Image(
        id=str(facts["Id"]),
        user=str(config.get("User") or ""),
        layers=tuple((facts.get("RootFS") or {}).get("Layers") or ()),
        labels=config.get("Labels") or {},
        architecture=str(facts.get("Architecture") or ""),
        size=int(facts.get("Size") or 0),
        digests=tuple(facts.get("RepoDigests") or ()),
    )
