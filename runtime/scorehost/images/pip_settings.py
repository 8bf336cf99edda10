"""The settings of pip on this machine (``pip config``, ``PIP_…``), as uv has to be given them.

pip knows the index, certificates and proxy of a company, and uv does not read its settings. So pip
is asked for them, and each is passed on under uv's name.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from scorehost.errors import UsageError

SECTIONS = ("global", "download", ":env:")
"""The sections that ``pip download`` reads, each overriding those before it."""

PIP = (sys.executable, "-m", "pip")

MANY = {
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
    "constraint": "--constraint",
}
"""Settings with several values, separated by white space, and uv's options for each value."""

ONE = {"index-url": "--index-url", "uploaded-prior-to": "--exclude-newer"}
"""Settings with one value."""

SWITCHES = {"no-index": ("--no-index",), "pre": ("--prerelease", "allow")}

TIMEOUT = "UV_HTTP_TIMEOUT"

VARIABLES = {
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "proxy": ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
    "default-timeout": (TIMEOUT,),
    "timeout": (TIMEOUT,),
    "retries": ("UV_HTTP_RETRIES",),
}
"""Settings that uv takes from the environment, and the variables."""

_LISTED = re.compile(r"(?P<section>[^.=]+)\.(?P<name>[\w-]+)=(?P<value>'.*'|\".*\")")

KEYRINGS = frozenset({"subprocess", "import"})
"""The values of ``keyring-provider`` for which uv asks a keyring too, by its command."""


@dataclass(frozen=True)
class UvSettings:
    """Settings for uv.

    Parameters
    ----------
    options : on its command line.
    variables : in its environment.
    """

    options: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of pip on this machine, by their long names.

    Raises
    ------
    UsageError
        pip is not installed, or cannot read its settings.
    """
    done = subprocess.run(
        [*PIP, "config", "list"], env=in_full(environ), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UsageError(f"pip cannot read its settings.\n{_indented(done.stderr)}")
    return merged(done.stdout.splitlines())


def merged(listed: Sequence[str]) -> dict[str, str]:
    """The settings from the lines of ``pip config list``: ``section.name='value'``."""
    sections: dict[str, dict[str, str]] = {}
    for found in filter(None, map(_LISTED.fullmatch, listed)):
        value = str(ast.literal_eval(found["value"]))
        sections.setdefault(found["section"], {})[found["name"]] = value
    return {
        name: value
        for section in SECTIONS
        for name, value in sections.get(section, {}).items()
        if value
    }


def for_uv(settings: Mapping[str, str], environ: Mapping[str, str]) -> UvSettings:
    """The settings of pip as uv takes them."""
    variables = {
        variable: _whole(settings[name]) if variable == TIMEOUT else settings[name]
        for name, names in VARIABLES.items()
        if name in settings
        for variable in names
    }
    # requests, pip's library, looks at these two; SSL_CERT_FILE counts for both programs.
    bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    if bundle and os.path.isfile(bundle):  # noqa: PTH113 - a folder is possible, and means nothing to uv
        variables.setdefault("SSL_CERT_FILE", bundle)
    return UvSettings(list(_options(settings)), variables)


def _options(settings: Mapping[str, str]) -> Iterator[str]:
    for name, option in MANY.items():
        for value in settings.get(name, "").split():
            yield from (option, value)
    for name, option in ONE.items():
        if name in settings:
            yield from (option, settings[name])
    for name, words in SWITCHES.items():
        if is_on(settings.get(name, "")):
            yield from words
    if settings.get("keyring-provider") in KEYRINGS:
        yield from ("--keyring-provider", "subprocess")


def in_full(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which pip says all that it has to say."""
    return {**environ, "PIP_QUIET": "0", "PIP_VERBOSE": "0"}


def _whole(seconds: str) -> str:
    """Seconds as uv takes them, without a fraction."""
    try:
        return str(ceil(float(seconds)))
    except ValueError:
        return seconds


def is_on(value: str) -> bool:
    """Whether pip takes a setting's value as true."""
    return value.lower() in {"1", "true", "yes", "on", "y", "t"}


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-5:])
