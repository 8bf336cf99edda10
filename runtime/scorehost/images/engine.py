"""The container engine, through its command: ``docker``, or one that takes the same arguments.

A refusal of the engine becomes an :class:`~scorehost.errors.EngineError` that says what to do.
The command gets the environment and finds its engine itself: ``DOCKER_HOST``, contexts and
credentials work as they do when the command is typed.
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
"""The commands to look for, in this order, when none is named."""

PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy")
"""Build arguments that need no declaration and leave no trace in the image."""


@dataclass(frozen=True)
class Image:
    """An image that the engine has.

    Parameters
    ----------
    id : its digest.
    user : the user its containers run as.
    digests : its references by digest; none if it was built or imported on this machine.
    labels : what its builder says about it.
    """

    id: str
    user: str
    architecture: str = ""
    size: int = 0
    digests: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class Engine:
    """One engine.

    Parameters
    ----------
    command : its command, possibly with options: ``docker --context far``.
    environ : the environment of the command.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.command = tuple(command)
        # BuildKit's display redraws itself unless told otherwise; it is read here line by line.
        self.environ = {**environ, "BUILDKIT_PROGRESS": "plain"}

    @property
    def name(self) -> str:
        return Path(self.command[0]).name

    @property
    def is_podman(self) -> bool:
        """Whether it is podman, a few of whose arguments differ."""
        return self.name.startswith("podman")

    def check(self) -> str:
        """The engine's version; an :class:`EngineError` when the engine does not answer."""
        wanted = "{{.Client.Version}}" if self.is_podman else "{{.Server.Version}}"
        return self.ask("version", "--format", wanted)

    def ask(self, *arguments: str) -> str:
        """Run a command of the engine; return its standard output, stripped."""
        done = self._run(arguments)
        if done.returncode:
            raise EngineError(explain(done.stderr, self.name), done.stderr)
        return done.stdout.strip()

    def image(self, reference: str) -> Image | None:
        """Inspect an image; None when the engine does not have it."""
        done = self._run(("image", "inspect", reference))
        if done.returncode:
            if re.search(r"no such image|not known|not found", done.stderr, re.IGNORECASE):
                return None
            raise EngineError(explain(done.stderr, self.name), done.stderr)
        facts = json.loads(done.stdout)[0]
        config = facts.get("Config") or {}
        return Image(
            id=str(facts["Id"]),
            user=str(config.get("User") or ""),
            architecture=str(facts.get("Architecture") or ""),
            size=int(facts.get("Size") or 0),
            digests=tuple(facts.get("RepoDigests") or ()),
            labels=dict(config.get("Labels") or {}),
        )

    def pull(self, reference: str) -> Image:
        """Fetch an image from its registry."""
        self.ask("pull", "--quiet", reference)
        found = self.image(reference)
        if found is None:
            raise EngineError(f"{reference} was pulled, but the engine does not list it.")
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
        """Build an image, passing on each line that is printed; return the exit status."""
        arguments = ["build", "--tag", tag, "--file", str(dockerfile), *options]
        for name in PROXY_VARIABLES:
            for variable in (name, name.upper()):
                if variable in self.environ:
                    arguments += ["--build-arg", variable]
        if self.is_podman:  # its own format has no place for a health check
            arguments += ["--format", "docker"]
        return run_streaming([*self.command, *arguments, str(context)], self.environ, on_line)

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
    """The engine that is named, or the first known one that is installed.

    Raises
    ------
    EngineError
        The command is not installed.
    """
    for words in [wanted.split()] if wanted else [[name] for name in COMMANDS]:
        if found := shutil.which(words[0], path=environ.get("PATH")):
            return Engine([found, *words[1:]], environ)
    missing = (
        f"The command {wanted.split()[0]} is not" if wanted else "Neither docker nor podman is"
    )
    raise EngineError(
        f"{missing} installed. Install a container engine ('apt-get install docker.io' on Debian "
        "and Ubuntu, elsewhere Docker Desktop or podman), or choose another: --engine COMMAND."
    )


def run_streaming(
    command: Sequence[str], environ: Mapping[str, str], on_line: Callable[[str], None]
) -> int:
    """Run a command, passing on each line that it prints; return the exit status."""
    with subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        for line in lines_of(process.stdout or ()):
            on_line(line)
        return process.wait()


def lines_of(stream: Any) -> Iterator[str]:
    """Lines as they arrive; a carriage return ends a line too, as in progress bars."""
    for raw in stream:
        for line in raw.decode("utf-8", "replace").rstrip("\r\n").split("\r"):
            yield line.rstrip()
