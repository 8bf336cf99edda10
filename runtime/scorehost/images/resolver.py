"""Which versions an image needs, asked of uv for the image's Python and platform.

uv evaluates markers as the image's Python would, whatever Python this machine has, and its exit
status tells whether there is no set of versions (1) or whether it could not look (2). Nothing is
read out of what it says, except to show it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scorehost.errors import UsageError
from scorehost.images.pip_settings import for_uv, is_on, pip_settings
from scorehost.images.wheels import Sources, Target, expanded

FOUND, NONE_FITS = 0, 1
"""uv's exit statuses, besides 2 for everything that kept it from looking."""

BEST, FIRST = "unsafe-best-match", "first-index"
"""Which index counts: the one with the best version, as with pip, or the first with the package.

Only with the second does uv tell that an index wants a password.
"""

KNOWN_GLIBC = (17, 28, *range(31, 41))
"""The minor versions of glibc that uv has names for."""

KNOWN_MACHINES = ("x86_64", "aarch64")

ONLY_UVS = ("`--", "exclude-newer")
"""Words of hints that are about options of uv."""

OPTIONS = {"--trusted-host": "--allow-insecure-host"}
"""Options of requirements files that uv calls otherwise."""

INDEXES = ("--index-url", "--extra-index-url")

HINT = "hint: "

_DECORATION = re.compile(r"^\s*(?:(?:error|cause):|[×│├╰─▶]+)\s*")


@dataclass(frozen=True)
class Answer:
    """What uv answered.

    Parameters
    ----------
    status : its exit status.
    pins : one exact requirement for each package, when there is a set of versions.
    said : its explanation, when there is none.
    """

    status: int
    pins: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def hints(self) -> list[str]:
        """The hints in the explanation."""
        return [line.removeprefix(HINT) for line in self.said if line.startswith(HINT)]


class Resolver:
    """Asks uv.

    Parameters
    ----------
    target : what the wheels must fit.
    sources : where they come from.
    options : those of the requirements file.
    environ : the environment of uv and pip. Of uv's own settings in it, only its cache counts.
    cache : uv's folder for what indexes said.
    """

    def __init__(
        self,
        target: Target,
        sources: Sources,
        options: Sequence[str],
        environ: Mapping[str, str],
        cache: Path,
    ) -> None:
        self.target = target
        settings = pip_settings(environ)
        self.hashes_required = is_on(settings.get("require-hashes", ""))
        machine = for_uv(settings, environ)
        own = list(for_resolving(expanded(options, environ)))
        self._options = one_index(machine.options, own, sources.uv_options())
        self._environ = {
            **{name: value for name, value in environ.items() if not name.startswith("UV_")},
            "UV_SYSTEM_CERTS": "true",  # as pip does
            "UV_NATIVE_TLS": "true",  # the same, before 0.8
            "UV_NO_CONFIG": "true",
            **machine.variables,
            **sources.uv_variables(),
            "UV_CACHE_DIR": environ.get("UV_CACHE_DIR") or str(cache),
        }

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        constraints: Iterable[str] = (),
        preferred: Iterable[str] = (),
        options: Sequence[str] = (),
        strategy: str = BEST,
    ) -> Answer:
        """Choose a version of every package.

        Parameters
        ----------
        requirements, constraints : the lines of a requirements file.
        preferred : pins that are kept unless a requirement speaks against them.
        options : more options for uv.
        strategy : which of several indexes counts.
        """
        with tempfile.TemporaryDirectory(prefix="scorehost-") as place:
            files = {
                name: Path(place, f"{name}.txt") for name in ("wanted", "constraints", "chosen")
            }
            for file, lines in zip(
                files.values(), (requirements, constraints, preferred), strict=True
            ):
                file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
            command = [find_uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
            command += ["--no-python-downloads", "--python", sys.executable, "--color", "never"]
            command += [*target_options(self.target), *self._options, *options]
            command += ["--index-strategy", strategy]
            command += ["--constraint", str(files["constraints"])]
            command += ["--output-file", str(files["chosen"]), str(files["wanted"])]
            done = subprocess.run(
                command, env=self._environ, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return Answer(done.returncode, said=tuple(in_plain_lines(done.stderr)))
            return Answer(FOUND, tuple(files["chosen"].read_text("utf-8").split("\n")[:-1]))

    def refusals(self, pins: Sequence[str]) -> list[str]:
        """What uv says of indexes that refuse to answer, although others have all packages.

        With several indexes, the packages of one that wants another password would be missing
        without a word.
        """
        if "--extra-index-url" not in self._options:
            return []
        named = zip(self._options, self._options[1:], strict=False)
        hosts = [urlsplit(url).netloc.rpartition("@")[2] for word, url in named if word in INDEXES]
        answer = self.resolve(pins, options=["--no-deps"], strategy=FIRST)
        return [hint for hint in answer.hints if any(host and host in hint for host in hosts)]


def find_uv() -> str:
    """The program that the package uv brings."""
    import uv  # with the extra "images"

    try:
        return str(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise UsageError(
            f"The package uv is installed, but its program is not there: {error}. Install it "
            "again: pip install --force-reinstall uv"
        ) from error


def target_options(target: Target) -> list[str]:
    """The options of uv for what wheels must fit."""
    options = ["--only-binary", ":all:", "--python-version", target.release or target.python]
    if target.machine in KNOWN_MACHINES:
        fitting = [minor for minor in KNOWN_GLIBC if minor <= target.glibc]
        if fitting:
            options += ["--python-platform", f"{target.machine}-manylinux_2_{fitting[-1]}"]
    return options


def for_resolving(options: Sequence[str]) -> Iterable[str]:
    """The options of a requirements file, as uv calls them."""
    for word in options:
        if word == "--pre":
            yield from ("--prerelease", "allow")
        elif word not in {"--prefer-binary", "--require-hashes"}:
            yield OPTIONS.get(word, word)


def one_index(*groups: Sequence[str]) -> list[str]:
    """Groups of options in one list; of several ``--index-url``, only the last.

    Others may be repeated, except for switches, of which one is enough.
    """
    words: list[str] = []
    index: list[str] = []
    for group in groups:
        rest = iter(group)
        for word in rest:
            if word == "--index-url":
                index = [word, next(rest)]
            elif word == "--prerelease":
                value = next(rest)
                words += [] if word in words else [word, value]
            elif word != "--no-index" or word not in words:
                words.append(word)
    return [*index, *words]


def in_plain_lines(said: str) -> Iterable[str]:
    """What uv says, without marks, and without hints about options that only uv has."""
    paragraph: list[str] = []
    for line in [*said.splitlines(), ""]:
        if not _DECORATION.sub("", line).strip() or line.lstrip().startswith(HINT):
            yield from _kept(paragraph)
            paragraph = []
        if text := " ".join(_DECORATION.sub("", line).split()):
            paragraph.append(text)


def _kept(paragraph: Sequence[str]) -> Sequence[str]:
    if not paragraph or not paragraph[0].startswith(HINT):
        return paragraph
    hint = " ".join(paragraph)
    return () if any(word in hint for word in ONLY_UVS) else (hint,)
