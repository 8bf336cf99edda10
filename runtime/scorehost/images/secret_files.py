"""Files that look like secrets, which an image must not carry by accident.

Whoever can pull an image can read every file that is in it. Names are looked at, and the
beginnings of files for the forms that keys have. Not found: passwords in a script, keys of
services we do not know, and anything in an archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

LOOKED_AT = 256 << 10
"""Bytes at the beginning of a file in which keys are looked for."""

HARMLESS = ("*.example", "*.sample", "*.template", "*.dist", "*.pub")

NAMES = {
    ".env": "variables, usually passwords",
    ".env.*": "variables, usually passwords",
    "*.env": "variables, usually passwords",
    "*.key": "a private key",
    "*.kdbx": "a password store",
    "*.jks": "a key store",
    "*.p12": "a private key",
    "*.pfx": "a private key",
    "*.publishsettings": "a subscription's credentials",
    "*.tfstate": "Terraform's state, with its passwords",
    ".git-credentials": "git's passwords",
    ".htpasswd": "passwords",
    ".netrc": "passwords",
    ".pgpass": "a database's password",
    ".pypirc": "an index's password",
    "accesstokens.json": "Azure's tokens",
    "credentials": "a cloud's credentials",
    "credentials.json": "credentials",
    "id_dsa": "a private key",
    "id_ecdsa": "a private key",
    "id_ed25519": "a private key",
    "id_rsa": "a private key",
    "kubeconfig": "a cluster's credentials",
    "secrets.*": "secrets, by its name",
}
"""File names, lower case, with what is usually in them."""

PATHS = {
    "*/.aws/*": "AWS's credentials",
    "*/.azure/*": "Azure's credentials",
    "*/.docker/config.json": "registries' passwords",
    "*/.kube/config": "a cluster's credentials",
    "*/.ssh/*": "SSH's keys",
}

CONTENTS = {
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----": "holds a private key",
    rb"\"private_key\"\s*:\s*\"-----": "holds a service account's key",
    rb"\bAKIA[0-9A-Z]{16}\b": "holds an AWS access key",
    rb"(AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}": "holds an Azure key",
    rb"\bgh[pousr]_[A-Za-z0-9]{36,}": "holds a GitHub token",
    rb"\bxox[abprs]-[A-Za-z0-9-]{20,}": "holds a Slack token",
}

_BINARY = re.compile(rb"\0")


def find_secrets(folder: Path, files: Iterable[PurePosixPath]) -> Iterator[tuple[str, str]]:
    """Each file that looks like a secret, with what it looks like."""
    for file in files:
        reason = by_name(file) or by_content(folder / file)
        if reason:
            yield str(file), reason


def by_name(file: PurePosixPath) -> str:
    """What a file's name says is in it; "" for nothing secret."""
    name = file.name.lower()
    if any(fnmatchcase(name, pattern) for pattern in HARMLESS):
        return ""
    for pattern, reason in NAMES.items():
        if fnmatchcase(name, pattern):
            return reason
    path = f"/{file}".lower()
    return next((reason for pattern, reason in PATHS.items() if fnmatchcase(path, pattern)), "")


def by_content(file: Path) -> str:
    """What the beginning of a file says; "" for nothing secret, and for what is no text."""
    with file.open("rb") as stream:
        begin = stream.read(LOOKED_AT)
    if _BINARY.search(begin):
        return ""
    return next((reason for form, reason in CONTENTS.items() if re.search(form, begin)), "")
