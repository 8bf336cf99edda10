"""Files that look like secrets, which an image must not carry by accident.

Anyone who can pull an image can read every file in it. The search looks at names, and at the
beginnings of files for the forms that keys have. It does not find passwords in a script, keys of
services that are not listed here, or anything in an archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

LOOKED_AT = 256 << 10
"""How many bytes at the beginning of a file are searched for keys."""

HARMLESS = ("*.example", "*.sample", "*.template", "*.dist", "*.pub")

NAMES = {
    "environment variables, which often hold passwords": (".env", ".env.*", "*.env"),
    "a private key": ("*.key", "*.p12", "*.pfx", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"),
    "a password store": ("*.kdbx",),
    "a key store": ("*.jks",),
    "Azure subscription credentials": ("*.publishsettings",),
    "Terraform state, including its passwords": ("*.tfstate",),
    "git passwords": (".git-credentials",),
    "passwords": (".htpasswd", ".netrc"),
    "a database password": (".pgpass",),
    "a package index password": (".pypirc",),
    "Azure tokens": ("accesstokens.json",),
    "cloud credentials": ("credentials",),
    "credentials": ("credentials.json",),
    "cluster credentials": ("kubeconfig",),
    "secrets, judging by its name": ("secrets.*",),
}
"""What such files usually contain, with the patterns of their names, in lower case."""

PATHS = {
    "*/.aws/*": "AWS credentials",
    "*/.azure/*": "Azure credentials",
    "*/.docker/config.json": "registry passwords",
    "*/.kube/config": "cluster credentials",
    "*/.ssh/*": "SSH keys",
}

CONTENTS = {
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----": "contains a private key",
    rb"\"private_key\"\s*:\s*\"-----": "contains a service account key",
    rb"\bAKIA[0-9A-Z]{16}\b": "contains an AWS access key",
    rb"(AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}": "contains an Azure key",
    rb"\bgh[pousr]_[A-Za-z0-9]{36,}": "contains a GitHub token",
    rb"\bxox[abprs]-[A-Za-z0-9-]{20,}": "contains a Slack token",
}


def find_secrets(folder: Path, files: Iterable[PurePosixPath]) -> Iterator[tuple[str, str]]:
    """Each file that looks like a secret, with the reason."""
    for file in files:
        if reason := by_name(file) or by_content(folder / file):
            yield str(file), reason


def by_name(file: PurePosixPath) -> str:
    """The secret that a file's name suggests; "" for none."""
    name = file.name.lower()
    if any(fnmatchcase(name, pattern) for pattern in HARMLESS):
        return ""
    for reason, patterns in NAMES.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return reason
    path = f"/{file}".lower()
    return next((reason for pattern, reason in PATHS.items() if fnmatchcase(path, pattern)), "")


def by_content(file: Path) -> str:
    """The secret that a file begins with; "" for none, and for a binary file."""
    with file.open("rb") as stream:
        begin = stream.read(LOOKED_AT)
    if b"\0" in begin:
        return ""
    return next((reason for form, reason in CONTENTS.items() if re.search(form, begin)), "")
